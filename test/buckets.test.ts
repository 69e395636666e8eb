import test from 'ava';
import { Buckets } from '../src/buckets.js';
import { minute, second } from '../src/time.js';

test('who is full is forgotten when many are kept, and who is not finds what it left', (t) => {
  const buckets = new Buckets<string>(1, 60);
  for (let i = 0; i < 60; i++) t.true(buckets.take('greedy', 0));
  for (let i = 0; i < 1000; i++) {
    buckets.take(`${i}`, 10 * second);
    buckets.giveBack(`${i}`, 1);
  }
  t.true(buckets.size <= 64, `${buckets.size}`);
  for (let i = 0; i < 10; i++) t.true(buckets.take('greedy', 10 * second));
  t.false(buckets.take('greedy', 10 * second));
  t.false(buckets.isFull('greedy', minute));
});

test('of those that are not full all are kept, and looked through no more often than they double', (t) => {
  const buckets = new Buckets<number>(1, 60);
  for (let i = 0; i < 5000; i++) buckets.take(i, 0);
  t.is(buckets.size, 5000);
  buckets.take(-1, minute);
  t.is(buckets.size, 5001, 'not yet');
  for (let i = 5000; i < 9000; i++) buckets.take(i, minute);
  t.true(buckets.size <= 4001, `${buckets.size}`);
});
