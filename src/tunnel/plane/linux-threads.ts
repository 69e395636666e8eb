import { availableParallelism } from 'node:os';
import { Worker } from 'node:worker_threads';

/** As many as a plane has where nobody says otherwise: two, and a core for the programs whose packets they move. */
export function usualWorkers(): number {
  return Math.max(1, Math.min(2, availableParallelism() - 1));
}

/**
 * Threads that have loaded the plane's program and wait to be told which plane. To start one takes as long as the whole
 * daemon needs to load its own modules, so the daemon starts them first and does both at once.
 */
export class PlaneThreads {
  readonly #waiting: Worker[];

  /** Starts so many at once; none: each is started when it is asked for. */
  constructor(ahead = 0) {
    this.#waiting = Array.from({ length: ahead }, startThread);
  }

  /** So many threads for one plane, the caller's from now on; those left over are ended. */
  take(count: number): Worker[] {
    const taken = Array.from({ length: count }, () => this.#waiting.shift() ?? startThread());
    void this.end();
    for (const thread of taken) thread.ref();
    return taken;
  }

  /**
   * Ends those that still wait; resolves when they have. None is cut short while it loads: native code that is being loaded into a
   * thread that is stopped ends the whole process with SIGABRT.
   */
  async end(): Promise<void> {
    await Promise.all(
      this.#waiting.splice(0).map((thread) => {
        const ended = new Promise((resolve) => thread.once('exit', resolve));
        thread.ref();
        thread.postMessage(undefined);
        return ended;
      }),
    );
  }
}

function startThread(): Worker {
  const thread = new Worker(new URL('./worker.js', import.meta.url), {
    resourceLimits: { maxYoungGenerationSizeMb: 2, maxOldGenerationSizeMb: 128 },
  });
  // One that is still waiting keeps no process alive.
  thread.unref();
  return thread;
}
