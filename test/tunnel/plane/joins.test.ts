import test from 'ava';
import { Joins } from '../../../src/tunnel/plane/joins.js';

test('every half that never met its other is counted once: displaced, repeated or too long there', (t) => {
  const joins = new Joins();
  const half = (counter: number, second = false) => joins.add(1, counter, second, Uint8Array.of(counter), 0);
  for (let counter = 0; counter < 70; counter++) half(2 * counter);
  half(20);
  t.is(joins.expire(0), 6 + 1);
  t.deepEqual(half(20, true), Uint8Array.of(20));
  t.is(joins.expire(999), 0);
  t.is(joins.expire(1000), 63);
  t.true(joins.isEmpty);
});
