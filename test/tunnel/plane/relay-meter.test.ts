import test from 'ava';
import { Moment } from '../../../src/tunnel/plane/moment.js';
import { RelayMeter } from '../../../src/tunnel/plane/relay-meter.js';

const began = Moment.at(0);

function meters(workers: number): RelayMeter[] {
  const shared = new SharedArrayBuffer(RelayMeter.byteLength(workers));
  return Array.from({ length: workers }, (_, worker) => new RelayMeter(shared, worker));
}

test('without a limit all passes, and is counted, each worker’s in one sum', (t) => {
  const [one, two] = meters(2) as [RelayMeter, RelayMeter];
  for (let i = 0; i < 1000; i++) t.true(one.take(1400, began) && two.take(100, began));
  t.is(one.passed, 1_500_000);
  t.is(two.passed, 1_500_000);
});

test('with a limit the sum is held, whoever asks, over the wrap of the clock and with any limit there may be', (t) => {
  for (const perSecond of [125_000, 1_250_000, 12_500_000_000]) {
    const workers = meters(3);
    const start = 2 ** 31 - 500; // the clock of words wraps after half a second
    for (const worker of workers) worker.limit(perSecond, Moment.at(start));
    const size = Math.max(1000, perSecond / 2000);
    for (let now = start; now < start + 4000; now += 0.5) {
      for (let i = 0; i < 3; i++) workers[(Math.trunc(now) + i) % 3]!.take(size, Moment.at(now));
    }
    const burst = Math.min(2 ** 30, Math.max(65_536, perSecond / 4));
    const { passed } = workers[0]!;
    t.true(passed <= 4 * perSecond + burst, `${passed} of ${4 * perSecond}`);
    t.true(passed >= 0.95 * 4 * perSecond, `${passed} of ${4 * perSecond}`);
  }
});

test('after a rest of any length what a limit lets pass at once may pass, and what it lets pass in a second after', (t) => {
  for (const days of [1, 24, 25, 30, 49, 50, 60, 80]) {
    const [meter] = meters(1) as [RelayMeter];
    meter.limit(1_250_000, began);
    while (meter.take(1000, began));
    const before = meter.passed;
    const later = days * 24 * 3_600_000;
    while (meter.take(1000, Moment.at(later)));
    t.is(meter.passed - before, 312_000, `${days} days`);
    while (meter.take(1000, Moment.at(later + 100)));
    t.is(meter.passed - before, 437_000, `${days} days and a tenth of a second`);
  }
});

test('a limit that is taken away counts on', (t) => {
  const [meter] = meters(1) as [RelayMeter];
  meter.limit(125_000, began);
  while (meter.take(1000, began));
  const { passed } = meter;
  meter.limit(undefined, began);
  t.true(meter.take(1000, began));
  t.is(meter.passed, passed + 1000);
});
