import test from 'ava';
import { SleepWatch } from '../../../src/tunnel/plane/sleep-watch.js';

const hour = 3_600_000;

test('a suspend is seen by the clocks that went apart, however busy we are', (t) => {
  const watch = new SleepWatch(1000, 50);
  watch.waitsUntil(60_000);
  t.is(watch.look(1500, 50), undefined);
  // The kernel woke us long before the wait was to end by a clock that stood still.
  watch.waitsUntil(61_500);
  t.is(watch.look(1600 + 8 * hour, 50 + 8 * hour), 8 * hour);
  t.is(watch.look(1700 + 8 * hour, 50 + 8 * hour), undefined, 'told once');
});

test('a stopped process is seen by the time at which its wait was to end', (t) => {
  const watch = new SleepWatch(0, 0);
  watch.waitsUntil(1000);
  t.is(watch.look(3999, 0), undefined);
  watch.waitsUntil(5000);
  t.is(watch.look(9000, 0), 4000);
});

test('a long wait that was meant is no sleep, and what is short is left to liveness', (t) => {
  const watch = new SleepWatch(0, 0);
  watch.waitsUntil(60_000);
  t.is(watch.look(60_010, 0), undefined);
  t.is(watch.look(60_020, 2_900), undefined);
  t.true(watch.dueAt > 60_020, 'a busy loop looks now and then');
});
