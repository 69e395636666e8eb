import test from 'ava';
import { LeftWays } from '../../src/routing/left-ways.js';

test('what makes the way in use worse within the time is our traffic, and what comes later only beyond that', (t) => {
  const left = new LeftWays(30_000);
  left.uses(true, 600, 1000);
  t.is(left.worseBy(5000, 30_999), 0);
  left.uses(false, 900, 20_000);
  left.uses(false, 700, 30_999);
  left.uses(false, 2000, 31_000);
  t.is(left.worseBy(2000, 31_000), 1100);
  t.is(left.worseBy(800, 40_000), -100);
  left.uses(true, 2000, 50_000);
  t.is(left.worseBy(4000, 79_999), 0, 'another way, and our traffic comes there');
  t.is(left.worseBy(4000, 80_000), 2000);
});

test('a way is barred until its time is over, each once, the latest eight of them', (t) => {
  const left = new LeftWays(30_000);
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
