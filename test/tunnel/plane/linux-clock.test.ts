import { readFileSync } from 'node:fs';
import test from 'ava';
import { BootClock } from '../../../src/tunnel/plane/linux-clock.js';
import { Moment } from '../../../src/tunnel/plane/moment.js';

const hour = 3_600_000;

test('the clock counts from when the machine was booted, and tells a turn what it tells others', (t) => {
  const clock = new BootClock();
  const moment = new Moment();
  const before = clock.now();
  clock.tell(moment);
  const after = clock.now();
  t.true(before <= moment.millis && moment.millis <= after);
  const uptime = 1000 * Number(readFileSync('/proc/uptime', 'utf8').split(' ')[0]);
  t.true(Math.abs(after - uptime) < 1000, `${after} and ${uptime}`);
});

test('what is skipped is sleep, in every thread that has the clock, and past 2^31 milliseconds too', (t) => {
  const clock = new BootClock();
  const elsewhere = new BootClock(clock.shared);
  const moment = new Moment();
  const slept = clock.asleep();
  let skipped = 0;
  for (const millis of [8 * hour, 2 ** 31, 2 ** 32]) {
    clock.tell(moment);
    const before = moment.millis;
    clock.skip(millis);
    skipped += millis;
    elsewhere.tell(moment);
    const passed = moment.millis - before - millis;
    t.true(passed >= 0 && passed < 1000, `${passed}`);
    // It is the difference of two clocks that are read one after the other: whatever keeps the thread in between counts.
    const more = elsewhere.asleep() - slept - skipped;
    t.true(Math.abs(more) < 1000, `${more}`);
  }
});
