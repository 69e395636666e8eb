import { Worker } from 'node:worker_threads';
import test from 'ava';
import fc from 'fast-check';
import { ReplayWindow } from '../../src/tunnel/replay-window.js';

function fresh(): { window: ReplayWindow; words: Int32Array } {
  const words = new Int32Array(new SharedArrayBuffer(ReplayWindow.byteLength));
  return { window: new ReplayWindow(words), words };
}

/** The slow oracle: every counter ever accepted, and per block of 16 the newest lap of the ring that wrote it. */
class Oracle {
  readonly #seen = new Set<number>();
  readonly #laps = new Map<number, number>();

  accept(counter: number): boolean {
    const block = Math.floor(counter / 16) % 4096;
    const lap = Math.floor(counter / 65_536);
    if (this.#seen.has(counter) || lap < (this.#laps.get(block) ?? 0)) return false;
    this.#seen.add(counter);
    this.#laps.set(block, lap);
    return true;
  }
}

test('any order of counters is judged as the slow oracle does', (t) => {
  const counter = fc.oneof(
    fc.nat(200),
    fc.nat(200).map((n) => 65_536 + n),
    fc.integer({ min: 65_400, max: 66_000 }),
    fc.integer({ min: 0, max: 2 ** 28 - 1 }),
    fc.nat(100).map((n) => 2 ** 28 - 1 - n),
  );
  fc.assert(
    fc.property(fc.array(counter, { maxLength: 300 }), (counters) => {
      const { window } = fresh();
      const oracle = new Oracle();
      for (const value of counters) {
        const expected = oracle.accept(value);
        if (!window.mayAccept(value) && expected) return false;
        if (window.accept(value) !== expected) return false;
      }
      return true;
    }),
    { numRuns: 300, seed: 1 },
  );
  t.pass();
});

test('65,520 counters back are remembered, wherever the newest lies', (t) => {
  const { window } = fresh();
  for (const newest of [70_000, 200_003, 2 ** 27, 2 ** 28 - 1]) {
    t.true(window.accept(newest));
    t.true(window.accept(newest - 65_520), `behind ${newest}`);
    t.false(window.accept(newest - 65_520));
    t.false(window.accept(newest));
  }
});

test('a frame replayed a whole lap later is refused', (t) => {
  const { window } = fresh();
  t.true(window.accept(5));
  t.true(window.accept(5 + 65_536));
  t.false(window.accept(5));
  t.false(window.accept(6), 'too old: its block belongs to a newer lap');
});

test('the last counter before 2^28 is accepted once and leaves the epoch bits sound', (t) => {
  const { window, words } = fresh();
  t.true(window.accept(2 ** 28 - 1));
  t.false(window.accept(2 ** 28 - 1));
  t.is(words[4095]! >>> 16, 4095);
});

test('threads that race for the same counters accept each exactly once', async (t) => {
  const words = new SharedArrayBuffer(ReplayWindow.byteLength);
  const threads = 3;
  const counters = 50_000;
  const gate = new SharedArrayBuffer(4);
  const code = `
    import { parentPort, workerData } from 'node:worker_threads';
    const { ReplayWindow } = await import(workerData.module);
    const window = new ReplayWindow(new Int32Array(workerData.words));
    const gate = new Int32Array(workerData.gate);
    Atomics.add(gate, 0, 1);
    while (Atomics.load(gate, 0) < workerData.threads);
    const accepted = [];
    for (let c = 0; c < workerData.counters; c++) if (window.accept(c)) accepted.push(c);
    parentPort.postMessage(accepted);
  `;
  const module = new URL('../../src/tunnel/replay-window.js', import.meta.url).href;
  const results = await Promise.all(
    Array.from(
      { length: threads },
      () =>
        new Promise<number[]>((resolve, reject) => {
          const url = new URL(`data:text/javascript,${encodeURIComponent(code)}`);
          const worker = new Worker(url, { workerData: { words, gate, threads, counters, module } });
          worker.once('message', resolve);
          worker.once('error', reject);
        }),
    ),
  );
  const all = results.flat();
  t.is(all.length, counters);
  t.is(new Set(all).size, counters);
});
