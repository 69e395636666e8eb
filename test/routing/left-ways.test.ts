import test from 'ava';
import { LeftWays } from '../../src/routing/left-ways.js';
import { never } from '../../src/time.js';

const tuning = { returnFrom: 1.4, followsWithin: 30_000, worseByItself: 500, burstTime: 5000 };
const [before, used] = [1, 2];
const barred = (metric: number) => ({ column: before, until: 300_000, metric });

test('what makes the way in use worse within the time is our traffic, and what comes later only beyond that', (t) => {
  const left = new LeftWays(tuning);
  left.add(barred(5000), 1000);
  left.uses(used, 600, 1000);
  left.uses(used, 900, 20_000);
  left.uses(used, 700, 30_999);
  left.uses(used, 1399, 31_000);
  t.is(left.worseByItselfAt, never);
  left.uses(used, 1400, 32_000);
  t.is(left.worseByItselfAt, 37_000);
  left.uses(used, 3000, 33_000);
  t.is(left.worseByItselfAt, 37_000, 'from when it began');
  left.uses(3, 2000, 36_000);
  left.uses(3, 4000, 65_999);
  t.is(left.worseByItselfAt, never, 'another way, and our traffic comes there');
  left.uses(3, 4500, 66_000);
  t.is(left.worseByItselfAt, 71_000);
});

test('what makes the way in use worse by far than what was left is more than our traffic, whenever it comes', (t) => {
  const left = new LeftWays(tuning);
  left.add(barred(1000), 0);
  left.uses(used, 600, 0);
  left.uses(used, 1399, 1000);
  t.is(left.worseByItselfAt, never);
  left.uses(used, 1400, 2000);
  t.is(left.worseByItselfAt, 7000);
});

test('what falls again was a burst of our traffic, and excuses nothing that comes after it', (t) => {
  const left = new LeftWays(tuning);
  left.add(barred(1000), 0);
  left.uses(used, 600, 0);
  left.uses(used, 2600, 40_000);
  left.uses(used, 2100, 41_000);
  t.is(left.worseByItselfAt, 45_000, 'it wavers');
  left.uses(used, 2000, 42_000);
  t.is(left.worseByItselfAt, never, 'it is over');
  t.is(left.find(before, 42_000)?.metric, 1000);
  left.uses(used, 600, 43_000);
  left.uses(used, 1600, 60_000);
  t.is(left.worseByItselfAt, 65_000);
});

test('a way that is worse by far when it is taken is no burst, nor over when it becomes a little better', (t) => {
  const left = new LeftWays(tuning);
  left.add(barred(1000), 0);
  left.uses(used, 1400, 0);
  left.uses(used, 1400, 1000);
  t.is(left.worseByItselfAt, 6000);
  left.uses(used, 1060, 2000);
  t.is(left.worseByItselfAt, 6000);
  left.uses(used, 1040, 3000);
  t.is(left.worseByItselfAt, never);
});

test('a way that was left as worse by itself is no reason to come back when the next is no worse than it', (t) => {
  const left = new LeftWays(tuning);
  left.add(barred(4000), 0);
  left.uses(used, 600, 0);
  left.uses(used, 2600, 40_000);
  left.add({ column: used, until: 400_000, metric: 2600 }, 46_000);
  left.uses(before, 600, 46_000);
  t.is(left.find(before, 46_000), undefined);
  left.uses(before, 3000, 80_000);
  t.is(left.worseByItselfAt, never);
  left.uses(before, 3100, 81_000);
  t.is(left.worseByItselfAt, 86_000);
});

test('a way is barred until its time is over, each once, the latest eight of them', (t) => {
  const left = new LeftWays(tuning);
  for (let column = 0; column < 9; column++) left.add({ column, until: 100 + column, metric: 500 }, 0);
  left.add({ column: 8, until: 200, metric: 700 }, 50);
  t.is(left.find(0, 50), undefined);
  t.is(left.find(1, 100)?.metric, 500);
  t.is(left.find(1, 101), undefined);
  t.is(left.find(8, 199)?.metric, 700);
  t.false(left.forget(100));
  t.true(left.forget(150));
  t.false(left.isEmpty);
  t.true(left.forget(150, 8));
  t.true(left.isEmpty);
});

test('a way that is lost and found again begins anew', (t) => {
  const left = new LeftWays(tuning);
  left.add(barred(4000), 0);
  left.uses(used, 600, 0);
  left.uses(used, 2600, 40_000);
  t.is(left.worseByItselfAt, 45_000);
  left.forget(41_000, used);
  t.is(left.worseByItselfAt, never, 'who left it is not held against who comes');
  left.uses(used, 600, 42_000);
  left.uses(used, 2600, 50_000);
  t.is(left.worseByItselfAt, never, 'our traffic comes there');
});
