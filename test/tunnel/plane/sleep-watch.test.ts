import test from 'ava';
import { Moment } from '../../../src/tunnel/plane/moment.js';
import { SleepWatch } from '../../../src/tunnel/plane/sleep-watch.js';

const hour = 3_600_000;

test('a suspend is seen by the clocks that went apart, however busy we are', (t) => {
  const watch = new SleepWatch(1000, 50);
  watch.waits(Moment.at(1000), 59_000);
  t.is(watch.look(1500, 50), undefined);
  // The kernel woke us long before the wait was to end by a clock that stood still.
  watch.waits(Moment.at(1500), 60_000);
  t.is(watch.look(1600 + 8 * hour, 50 + 8 * hour), 8 * hour);
  t.is(watch.look(1700 + 8 * hour, 50 + 8 * hour), undefined, 'told once');
});

test('a stopped process is seen by the time at which its wait was to end', (t) => {
  const watch = new SleepWatch(0, 0);
  watch.waits(Moment.at(0), 1000);
  t.is(watch.look(3999, 0), undefined);
  watch.waits(Moment.at(3999), 1001);
  t.is(watch.look(9000, 0), 4000);
});

test('a month after the machine was booted it is told apart as well', (t) => {
  const start = 2 ** 31 - 500.75;
  const watch = new SleepWatch(start, 0);
  for (let now = start; now < start + 1000; now += 100) {
    watch.waits(Moment.at(now), 100);
    t.is(watch.look(now + 100, 0), undefined);
  }
  t.is(watch.look(start + 5000, 0), 4000);
});

test('a long wait that was meant is no sleep, and what is short is left to liveness', (t) => {
  const watch = new SleepWatch(0, 0);
  watch.waits(Moment.at(0), 60_000);
  t.is(watch.look(60_010, 0), undefined);
  t.is(watch.look(60_020, 2_900), undefined);
  t.false(watch.isDue(Moment.at(60_021)), 'a busy loop looks now and then');
  t.true(watch.isDue(Moment.at(60_200)));
});
