import { MessageChannel, type MessagePort, type Worker } from 'node:worker_threads';
import type { Millis } from '../../time.js';
import { Drops } from './drops.js';
import { StructMemory, system } from './linux-system.js';
import { Signal, type WorkerData, type WorkerMessage, type WorkerOrder } from './worker-data.js';

const stopWithin: Millis = 900;

/** What a worker says when it runs. */
export type Ready = Extract<WorkerMessage, { kind: 'ready' }>;

/**
 * The main thread's end of one worker. It fails once: by the worker's own word, or because the thread ended without being told
 * to, as one does that has no memory left or that something outside its own reach threw in.
 *
 *     waiting ─ ready ─► runs ─ stop ─► stopped
 *        └── failed, or ended ──┴─► failed
 */
export class PlaneThread {
  /** Rejects when the worker failed before it was ready. */
  readonly ready: Promise<Ready>;
  readonly drops = new SharedArrayBuffer(Drops.byteLength);
  readonly #worker: Worker;
  readonly #orders: MessagePort;
  readonly #signals = new Int32Array(new SharedArrayBuffer(8));
  readonly #eventFd: number;
  readonly #one = new StructMemory(8);
  readonly #exited: Promise<void>;
  #isOver = false;
  #listener: (message: Exclude<WorkerMessage, { kind: 'ready' }>) => void = () => {};

  constructor(worker: Worker, data: Omit<WorkerData, 'orders' | 'eventFd' | 'signals' | 'drops'>) {
    this.#worker = worker;
    const { port1, port2 } = new MessageChannel();
    this.#orders = port1;
    this.#orders.unref();
    this.#eventFd = system.eventfd(0, 0x80800);
    this.#one.setInt(0, 1);
    const workerData: WorkerData = {
      ...data,
      orders: port2,
      eventFd: this.#eventFd,
      signals: this.#signals.buffer as SharedArrayBuffer,
      drops: this.drops,
    };
    worker.postMessage(workerData, [port2]);
    this.#exited = new Promise((resolve) => this.#worker.once('exit', () => resolve()));
    let thrown: unknown;
    this.#worker.once('error', (error) => {
      thrown = error;
    });
    this.ready = new Promise((resolve, reject) => {
      const fail = (reason: string) => {
        if (this.#isOver) return;
        this.#isOver = true;
        reject(new Error(reason));
        this.#listener({ kind: 'event', event: { kind: 'failed', reason } });
      };
      this.#worker.on('message', (message: WorkerMessage) => {
        if (message.kind === 'ready') resolve(message);
        else if (message.kind === 'event' && message.event.kind === 'failed') fail(message.event.reason);
        else this.#listener(message);
      });
      this.#worker.once('exit', (code) => fail(whyItEnded(thrown, code)));
    });
    // A worker inside a blocking call would keep process.exit waiting for ever.
    process.once('exit', this.#wakeToStop);
  }

  readonly #wakeToStop = () => {
    Atomics.store(this.#signals, Signal.stop, 1);
    this.#wake();
  };

  onMessage(listener: (message: Exclude<WorkerMessage, { kind: 'ready' }>) => void): void {
    this.#listener = listener;
  }

  order(order: WorkerOrder): void {
    this.#orders.postMessage(order);
    if (Atomics.exchange(this.#signals, Signal.orders, 1) === 0) this.#wake();
  }

  #wake(): void {
    system.write(this.#eventFd, this.#one.address, 8);
  }

  async stop(): Promise<void> {
    process.off('exit', this.#wakeToStop);
    this.#isOver = true;
    this.#wakeToStop();
    const late = setTimeout(() => void this.#worker.terminate(), stopWithin);
    await this.#exited;
    clearTimeout(late);
    this.#orders.close();
    system.close(this.#eventFd);
  }
}

function whyItEnded(thrown: unknown, code: number): string {
  if (thrown === undefined) return `a worker ended by itself, with code ${code}`;
  // What is thrown in another thread is not always an Error of this one.
  return (thrown as Error | null)?.stack ?? String(thrown);
}
