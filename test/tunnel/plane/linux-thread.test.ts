import { Worker } from 'node:worker_threads';
import test from 'ava';
import { PlaneThread } from '../../../src/tunnel/plane/linux-thread.js';
import type { WorkerMessage } from '../../../src/tunnel/plane/worker-data.js';

type Said = Exclude<WorkerMessage, { kind: 'ready' }>;

/** A plane's thread whose worker does this when it hears what it is to work with; `orders` and `say` are there. */
function threadThat(does: string): { thread: PlaneThread; said: Said[]; next: Promise<Said> } {
  const program = `
    const { parentPort } = require('node:worker_threads');
    const say = (message) => parentPort.postMessage(message);
    parentPort.once('message', ({ orders }) => { ${does} });`;
  const worker = new Worker(program, { eval: true, resourceLimits: { maxOldGenerationSizeMb: 8 } });
  const thread = new PlaneThread(worker, {} as never);
  const said: Said[] = [];
  const next = new Promise<Said>((resolve) => {
    thread.onMessage((message) => {
      said.push(message);
      resolve(message);
    });
  });
  return { thread, said, next };
}

const ready = `say({ kind: 'ready', evp: false, priority: false });`;

/** Keeps the thread, until it is told something. */
const whenOrdered = (does: string) => `${ready} orders.once('message', () => { ${does} });`;

for (const [how, does, why] of [
  ['throws where nobody catches', `setImmediate(() => { throw new Error('on its own'); });`, /on its own/],
  ['ends itself', 'process.exit(3);', /^a worker ended by itself, with code 3$/],
  ['has no memory left', 'const all = []; for (;;) all.push(new Array(1000).fill(all.length));', /memory limit/],
] as const) {
  test(`a worker that ${how} while it runs has failed, and says why`, async (t) => {
    const { thread, said, next } = threadThat(whenOrdered(does));
    await thread.ready;
    thread.order({ report: undefined as never });
    const message = await next;
    t.true(message.kind === 'event' && message.event.kind === 'failed' && why.test(message.event.reason));
    await thread.stop();
    t.is(said.length, 1);
  });

  test(`a worker that ${how} before it runs fails the start`, async (t) => {
    const { thread } = threadThat(does);
    await t.throwsAsync(thread.ready, { message: why });
    await thread.stop();
  });
}

test('a worker that says itself that it failed, and ends, has failed once', async (t) => {
  const failed = `say({ kind: 'event', event: { kind: 'failed', reason: 'a descriptor is gone' } });`;
  const { thread, said, next } = threadThat(whenOrdered(failed));
  await thread.ready;
  thread.order({ report: undefined as never });
  await next;
  await thread.stop();
  t.deepEqual(said, [{ kind: 'event', event: { kind: 'failed', reason: 'a descriptor is gone' } }]);
});

test('a worker that is stopped has not failed', async (t) => {
  const { thread, said } = threadThat(whenOrdered(''));
  await thread.ready;
  thread.order({ report: undefined as never });
  await thread.stop();
  t.deepEqual(said, []);
});
