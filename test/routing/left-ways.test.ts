import test from 'ava';
import { LeftWays } from '../../src/routing/left-ways.js';
import { never } from '../../src/time.js';

const tuning = { leftFor: 300_000, returnFrom: 1.4, followsWithin: 30_000, worseByItself: 500, burstTime: 5000 };
const [before, used] = [1, 2];
const barred = (metric: number) => ({ column: before, until: 300_000, metric });

test('what makes the way in use worse within the time is our traffic, and what comes later only beyond that', (t) => {
  const left = new LeftWays(tuning);
  left.add(barred(1900), 1000);
  left.uses(used, 600, 1000);
  left.uses(used, 1500, 20_000);
  left.uses(used, 700, 30_999);
  left.uses(used, 1999, 31_000);
  t.is(left.worseByItselfAt, never);
  left.uses(used, 2000, 32_000);
  t.is(left.worseByItselfAt, 37_000);
  left.uses(used, 2600, 33_000);
  t.is(left.worseByItselfAt, 37_000, 'from when it began');
  left.add({ column: before, until: 300_000, metric: 5000 }, 35_000);
  left.uses(3, 3300, 36_000);
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

test('what makes the way in use worse, but by far less than what was left, is not what made us leave that', (t) => {
  const left = new LeftWays(tuning);
  left.add(barred(1750), 0);
  left.uses(used, 600, 0);
  left.uses(used, 1099, 1000);
  t.is(left.worseByItselfAt, never, 'by less than what is noticed');
  left.uses(used, 700, 1500);
  left.uses(used, 1100, 2000);
  t.is(left.worseByItselfAt, 7000);
  left.uses(used, 1249, 3000);
  t.is(left.worseByItselfAt, 7000);
  left.uses(used, 1250, 4000);
  t.is(left.worseByItselfAt, never, 'it only grew to be as bad');
  left.uses(used, 600, 5000);
  left.uses(used, 1200, 6000);
  t.is(left.worseByItselfAt, 11_000);
  left.uses(used, 1000, 7000);
  t.is(left.worseByItselfAt, never, 'a burst that is over');
});

test('what grows past all that our traffic does counts from there', (t) => {
  const left = new LeftWays(tuning);
  left.add(barred(1750), 0);
  left.uses(used, 600, 0);
  left.uses(used, 1200, 1000);
  t.is(left.worseByItselfAt, 6000);
  left.uses(used, 2450, 3000);
  t.is(left.worseByItselfAt, 8000);
});

test('a burst that was little shows all the same what our traffic does', (t) => {
  const left = new LeftWays(tuning);
  left.add(barred(2900), 0);
  left.uses(used, 600, 0);
  left.uses(used, 2000, 1000);
  left.uses(used, 600, 3000);
  left.uses(used, 2499, 40_000);
  t.is(left.worseByItselfAt, never);
  left.uses(used, 2500, 41_000);
  t.is(left.worseByItselfAt, 46_000);
});

test('once a way was returned to, a little worse is no reason to return to another for as long as one is barred', (t) => {
  const left = new LeftWays(tuning);
  left.add(barred(4000), 0);
  left.uses(used, 600, 0);
  left.uses(used, 1600, 10_000);
  left.add({ column: used, until: 316_000, metric: 1600 }, 16_000);
  left.uses(before, 600, 16_000);
  left.uses(before, 4000, 20_000);
  t.is(left.worseByItselfAt, 25_000);
  left.add({ column: before, until: 400_000, metric: 4000 }, 28_000);
  left.uses(used, 600, 28_000);
  left.uses(used, 1600, 50_000);
  t.is(left.worseByItselfAt, never);
  left.uses(3, 600, 320_000);
  left.uses(3, 1100, 327_999);
  t.is(left.worseByItselfAt, never);
  left.uses(3, 1101, 328_000);
  t.is(left.worseByItselfAt, 333_000);
});

test('what begins later than our traffic shows, and is no worse than it showed, is kept; what began before goes on', (t) => {
  const left = new LeftWays(tuning);
  left.add(barred(5000), 0);
  left.uses(used, 600, 0);
  left.uses(used, 1400, 1000);
  left.uses(used, 600, 4000);
  left.uses(used, 1200, 35_000);
  t.is(left.worseByItselfAt, never);
  left.uses(3, 600, 50_000);
  left.uses(3, 1099, 60_000);
  left.uses(3, 1200, 84_999);
  left.uses(3, 1300, 86_000);
  t.is(left.worseByItselfAt, 89_999);
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
  left.add(barred(3000), 0);
  left.uses(used, 600, 0);
  left.uses(used, 2600, 40_000);
  t.is(left.worseByItselfAt, 45_000);
  left.forget(41_000, used);
  t.is(left.worseByItselfAt, never, 'who left it is not held against who comes');
  left.uses(used, 600, 42_000);
  left.uses(used, 2600, 50_000);
  t.is(left.worseByItselfAt, never, 'our traffic comes there');
});
