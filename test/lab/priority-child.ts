import { readFileSync } from 'node:fs';
import { isMainThread, parentPort, Worker } from 'node:worker_threads';
import { goAhead } from '../../src/tunnel/plane/linux-priority.js';

/** Of the thread that reads it: the 19th field of stat, proc(5), of which the second may hold blanks. */
function niceness(): number {
  const fields = readFileSync('/proc/thread-self/stat', 'utf8')
    .replace(/^.*\) /, '')
    .split(' ');
  return Number(fields[16]);
}

if (isMainThread) {
  const worker = new Worker(new URL(import.meta.url));
  worker.once('message', (said: object) => console.log(JSON.stringify({ ...said, main: niceness() })));
} else {
  const done = goAhead();
  parentPort!.postMessage({ done, worker: niceness() });
}
