import test from 'ava';
import { parsePrefix } from '../../src/addr/prefix.js';
import { Destination } from '../../src/routing/destination.js';
import { Ripening } from '../../src/routing/ripening.js';
import { defaultTuning } from '../../src/routing/tuning.js';
import { never } from '../../src/time.js';

const destination = (row: number): Destination => new Destination(row, parsePrefix('fd00::/64')!, 1);

function flooded(): Ripening {
  const ripening = new Ripening(defaultTuning);
  for (let i = 0; i < 2 * defaultTuning.ripeningFrom; i++) ripening.found(10_000);
  return ripening;
}

test('what is found alone hardly waits, and neither does what is found a second after a flood', (t) => {
  const alone = new Ripening(defaultTuning);
  alone.found(10_000);
  const costOf30Millis = 400;
  t.true(costOf30Millis * alone.share(10_000) < defaultTuning.urgentDelay);
  t.is(flooded().share(10_000), defaultTuning.ripeningPause);
  t.is(flooded().share(11_000), 0);
});

test('in a flood what came over the cheapest link ripens first, and a better way is not kept waiting by a worse one', (t) => {
  const ripening = flooded();
  const [near, far, bettered] = [destination(0), destination(1), destination(2)];
  ripening.add(near, 10_250);
  ripening.add(far, 10_900);
  ripening.add(bettered, 10_950);
  ripening.add(bettered, 10_350);
  ripening.add(near, 10_800); // a worse one changes nothing
  t.true(ripening.deadline >= 10_250 && ripening.deadline < 10_400);
  t.deepEqual(ripening.take(10_400), [near, bettered]);
  t.deepEqual(ripening.take(11_000), [far]);
  t.is(ripening.deadline, never);
  t.deepEqual([near.ripeAt, far.ripeAt, bettered.ripeAt], [0, 0, 0]);
});

test('what is lost or told before it was ripe is not told again when it would have been', (t) => {
  const ripening = flooded();
  const lost = destination(0);
  ripening.add(lost, 10_300);
  ripening.forget(lost);
  t.deepEqual(ripening.take(11_000), []);
});

test('what waits no longer leaves no moment to wake up at', (t) => {
  const ripening = flooded();
  const [lost, other, last] = [destination(0), destination(1), destination(2)];
  for (const [one, at] of [
    [lost, 10_300],
    [other, 10_300],
    [last, 10_700],
  ] as const)
    ripening.add(one, at);
  ripening.forget(lost);
  t.is(ripening.deadline, 10_300);
  ripening.forget(other);
  t.is(ripening.deadline, 10_700);
  ripening.forget(last);
  t.is(ripening.deadline, never);
});

test('however often a destination is found, bettered and lost, it waits once', (t) => {
  const ripening = flooded();
  const fickle = destination(0);
  for (let i = 0; i < 1000; i++) {
    ripening.add(fickle, 20_000 - 100 * (i % 50));
    if (i % 7 === 0) ripening.forget(fickle);
    t.true(ripening.size <= 1);
  }
  t.is(ripening.size, 1);
});
