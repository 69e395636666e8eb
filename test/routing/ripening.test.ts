import test from 'ava';
import { parsePrefix } from '../../src/addr/prefix.js';
import { seededRandom } from '../../src/random.js';
import { Destination } from '../../src/routing/destination.js';
import { Ripening } from '../../src/routing/ripening.js';
import { defaultTuning } from '../../src/routing/tuning.js';
import { never } from '../../src/time.js';

const destination = (row: number): Destination => new Destination(row, parsePrefix('fd00::/64')!, 1);

function flooded(): Ripening {
  const ripening = new Ripening(defaultTuning, seededRandom(1), 0);
  for (let i = 0; i < 2 * defaultTuning.ripeningFrom; i++) ripening.found(10_000);
  return ripening;
}

/** When a destination found now by a link of this cost is told. */
function waits(ripening: Ripening, cost: number, now: number): number {
  const found = destination(9);
  ripening.add(found, cost, now);
  const due = found.ripeAt;
  ripening.forget(found);
  return due - now;
}

const costOf30Millis = 400;

test('what is found alone hardly waits, and neither does what is found a second after a flood', (t) => {
  const alone = new Ripening(defaultTuning, seededRandom(1), 0);
  alone.found(10_000);
  t.true(waits(alone, costOf30Millis, 10_000) <= 30);
  const { urgentDelay, ripeningPause, ripeningStep } = defaultTuning;
  const least = urgentDelay + costOf30Millis * ripeningPause;
  const amid = waits(flooded(), costOf30Millis, 10_000);
  t.true(amid >= least && amid < least + ripeningStep);
  t.true(waits(flooded(), costOf30Millis, 11_000) <= 30);
});

test('a node that has just started waits as in a flood: its first few come by ways that will be bettered', (t) => {
  const started = new Ripening(defaultTuning, seededRandom(1), 10_000);
  started.found(10_010);
  t.true(waits(started, costOf30Millis, 10_010) >= costOf30Millis * 0.9 * defaultTuning.ripeningPause);
  t.true(waits(started, costOf30Millis, 11_010) <= 30);
});

test('in a flood what came over the cheapest link ripens first, and a better way is not kept waiting by a worse one', (t) => {
  const ripening = flooded();
  const [near, far, bettered] = [destination(0), destination(1), destination(2)];
  ripening.add(near, 600, 10_000);
  ripening.add(far, 2000, 10_000);
  ripening.add(bettered, 2100, 10_000);
  ripening.add(bettered, 700, 10_000);
  ripening.add(near, 1900, 10_000); // a worse one changes nothing
  const first = ripening.deadline;
  t.true(first >= 10_300 && first <= 10_800);
  t.deepEqual(ripening.take(first - 1), []);
  t.deepEqual(ripening.take(first), [near, bettered]);
  t.deepEqual(ripening.take(11_600), [far]);
  t.is(ripening.deadline, never);
  t.deepEqual([near.ripeAt, far.ripeAt, bettered.ripeAt], [0, 0, 0]);
});

test('what ripens at about the same time is told together', (t) => {
  const ripening = flooded();
  const spread = new Set<number>();
  for (let i = 0; i < 1000; i++) {
    const found = destination(i);
    ripening.add(found, 200 + (i % 800), 10_000 + i / 10);
    spread.add(found.ripeAt);
  }
  t.true(spread.size <= 3, `${spread.size} moments`); // within half a second, by steps of 0.4 s
});

test('two nodes are not in step', (t) => {
  const dues = [1, 2, 3].map((seed) => {
    const ripening = new Ripening(defaultTuning, seededRandom(seed), 10_000);
    return waits(ripening, costOf30Millis, 10_000);
  });
  t.is(new Set(dues).size, dues.length);
});

test('what is lost or told before it was ripe is not told again when it would have been', (t) => {
  const ripening = flooded();
  const lost = destination(0);
  ripening.add(lost, 600, 10_000);
  ripening.forget(lost);
  t.deepEqual(ripening.take(12_000), []);
});

test('what waits no longer leaves no moment to wake up at', (t) => {
  const ripening = flooded();
  const [lost, other, last] = [destination(0), destination(1), destination(2)];
  for (const [one, cost] of [
    [lost, 600],
    [other, 600],
    [last, 1800],
  ] as const)
    ripening.add(one, cost, 10_000);
  const first = other.ripeAt;
  ripening.forget(lost);
  t.is(ripening.deadline, first);
  ripening.forget(other);
  t.true(last.ripeAt > first);
  t.is(ripening.deadline, last.ripeAt);
  ripening.forget(last);
  t.is(ripening.deadline, never);
});

test('however often a destination is found, bettered and lost, it waits once', (t) => {
  const ripening = flooded();
  const fickle = destination(0);
  for (let i = 0; i < 1000; i++) {
    ripening.add(fickle, 6000 - 100 * (i % 50), 10_000);
    if (i % 7 === 0) ripening.forget(fickle);
    t.true(ripening.size <= 1);
  }
  t.is(ripening.size, 1);
});
