import test from 'ava';
import { never } from '../../../src/time.js';
import { Moment } from '../../../src/tunnel/plane/moment.js';

test('a wait is whole milliseconds, never too short, and none when the deadline has come, whatever the clock says', (t) => {
  for (const origin of [0.25, 2 ** 31 - 500.25, 2 ** 32 - 500.25, 2 ** 40 + 0.25]) {
    for (let after = -1000.5; after < 1000; after += 0.25) {
      const wait = Moment.at(origin).until(Moment.at(origin + after), 700);
      const enough = wait >= after && wait < after + 1;
      t.true(after <= 0 ? wait === 0 : after > 699 ? wait === 700 : enough, `${after} after ${origin}: ${wait}`);
    }
  }
});

test('where there is no deadline one waits as long as may be, and one before all time is due at once', (t) => {
  t.is(Moment.at(5).until(Moment.at(never), 60_000), 60_000);
  t.is(Moment.at(5).until(Moment.at(Number.NEGATIVE_INFINITY), 60_000), 0);
  t.is(new Moment().until(Moment.at(never), 60_000), 60_000);
});
