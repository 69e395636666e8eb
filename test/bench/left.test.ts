import test from 'ava';
import { Left } from '../../bench/left.js';

test('what is left is guessed, then as long as others of its sort took, then as long as itself', (t) => {
  const left = new Left(10);
  left.plan('direct: a', 2);
  left.plan('direct: b', 2);
  left.plan('relay: a', 1);
  t.is(left.time, 50);
  left.done('direct: a', 30);
  t.is(left.time, 30 + 2 * 30 + 10, 'b as a, and a relay as guessed');
  left.done('direct: b', 50);
  t.is(left.time, 30 + 50 + 10);
  left.done('direct: a', 40);
  left.done('direct: b', 50);
  left.done('relay: a', 5);
  t.is(left.time, 0);
});
