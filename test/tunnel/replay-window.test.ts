import { Worker } from 'node:worker_threads';
import test from 'ava';
import fc from 'fast-check';
import { ReplayWindow } from '../../src/tunnel/replay-window.js';

function fresh(): { window: ReplayWindow; words: Int32Array } {
  const words = new Int32Array(new SharedArrayBuffer(ReplayWindow.byteLength));
  return { window: new ReplayWindow(words), words };
}

/**
 * What a window promises, however it is built: nothing twice; what is new is taken as far back as 65,520, and nothing from
 * 65,536 on. Between the two it may do either.
 */
class Oracle {
  readonly #seen = new Set<number>();
  #newest = 0;

  /** Whether it may accept the counter, given that it does or does not. */
  allows(counter: number, accepts: boolean): boolean {
    const back = this.#newest - counter;
    const isNew = !this.#seen.has(counter);
    if (accepts) {
      this.#seen.add(counter);
      this.#newest = Math.max(this.#newest, counter);
      return isNew && back < 65_536;
    }
    return !isNew || back > 65_520;
  }
}

test('any order of counters is judged as the slow oracle does', (t) => {
  const last = 2 ** 28 - 1;
  const anywhere = fc.oneof(
    fc.nat(200),
    fc.nat(200).map((n) => 65_536 + n),
    fc.integer({ min: 65_400, max: 66_000 }),
    fc.integer({ min: 0, max: last }),
    fc.nat(100).map((n) => last - n),
  );
  // Where the edges are: a step from the counter before, of a few, of almost a window or of almost two.
  const step = fc
    .tuple(fc.constantFrom(0, 0, 65_520, 65_536, 131_072), fc.integer({ min: -40, max: 40 }), fc.boolean())
    .map(([far, near, isBack]) => (isBack ? -far : far) + near);
  const orders = fc.array(
    fc.oneof(
      anywhere.map((at) => ({ at })),
      step.map((by) => ({ by })),
    ),
    { minLength: 1, maxLength: 300, size: 'max' },
  );
  const given = { accepted: 0, refused: 0 };
  fc.assert(
    fc.property(orders, (order) => {
      const { window } = fresh();
      const oracle = new Oracle();
      let value = 0;
      for (const next of order) {
        value = 'at' in next ? next.at : Math.min(last, Math.max(0, value + next.by));
        const may = window.mayAccept(value);
        const accepts = window.accept(value);
        if (accepts) given.accepted++;
        else given.refused++;
        if ((accepts && !may) || !oracle.allows(value, accepts)) return false;
      }
      return true;
    }),
    { numRuns: 500, seed: 1 },
  );
  t.true(given.accepted > 5000 && given.refused > 5000, JSON.stringify(given));
});

test('what is far older than the window is refused, though nothing came to its word since', (t) => {
  const { window } = fresh();
  t.true(window.accept(10_000_003));
  for (const counter of [5, 10_000_003 - 65_536, 10_000_003 - 65_537]) {
    t.false(window.mayAccept(counter));
    t.false(window.accept(counter));
  }
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
  t.is(words[4096]! >>> 16, 4095);
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
