import { parentPort } from 'node:worker_threads';
import type { WorkerData, WorkerMessage } from './worker-data.js';
import { WorkerLoop } from './worker-loop.js';

/** One worker thread of the plane: told what to work with, it takes turn after turn until it is to stop. */

function post(message: WorkerMessage): void {
  parentPort!.postMessage(message);
}

function run(data: WorkerData): void {
  const loop = new WorkerLoop(data, post);
  post({ kind: 'ready', evp: loop.evp });
  while (!loop.isToStop) loop.turn();
  loop.close();
}

// The thread waits here until there is a plane for it.
parentPort!.once('message', (data: WorkerData) => {
  try {
    run(data);
  } catch (error) {
    post({
      kind: 'event',
      event: { kind: 'failed', reason: error instanceof Error ? (error.stack ?? error.message) : String(error) },
    });
  }
});
