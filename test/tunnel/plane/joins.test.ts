import test from 'ava';
import { Arena } from '../../../src/tunnel/plane/arena.js';
import { Joins } from '../../../src/tunnel/plane/joins.js';

function halves() {
  const arena = new Arena();
  const joins = new Joins(arena);
  /** A half of one octet, its counter's; the other half's where it waits. */
  const add = (counter: number, second = false, now = 0, index = 1) => {
    arena.bytes[0] = counter;
    if (!joins.add(index, counter, second, 0, 1, now)) return undefined;
    return [...arena.bytes.subarray(joins.otherAt, joins.otherAt + joins.otherLength)];
  };
  return { joins, add };
}

test('every half that never met its other is counted once: displaced, repeated or too long there', (t) => {
  const { joins, add } = halves();
  for (let counter = 0; counter < 70; counter++) add(2 * counter, false, counter / 100);
  add(20, false, 0.7);
  t.is(joins.expire(1), 6 + 1);
  t.deepEqual(add(20, true, 1), [20]);
  t.is(joins.expire(999), 0);
  t.is(joins.expire(1001), 63);
  t.true(joins.isEmpty);
});

test('halves meet in any order and each once, of one lane and one counter, and not after a second', (t) => {
  const { joins, add } = halves();
  t.is(add(7, true), undefined);
  t.is(add(7, false, 0, 2), undefined);
  t.is(add(9), undefined);
  t.deepEqual(add(9, true), [9]);
  t.is(add(9, true), undefined);
  t.deepEqual(add(7), [7]);
  t.is(add(7, true, 1000, 2), undefined);
  t.is(joins.expire(1000), 2);
});
