import { Session } from 'node:inspector';
import { until } from '../../lab/until.js';

/** What a worker thread allocated on its heap while it was watched: octets by function, collected objects included. */
export type Allocations = Readonly<Record<string, number>>;

interface ProfileNode {
  readonly callFrame: { readonly functionName: string; readonly url: string; readonly lineNumber: number };
  readonly selfSize: number;
  readonly children: readonly ProfileNode[];
}

/**
 * V8's sampling heap profile of every worker thread of this process. They never return to their event loop, but V8 takes
 * what an inspector says between two instructions. To be used by the process's first thread, which alone sees the others.
 */
export class WorkerAllocations {
  readonly #session = new Session();
  readonly #workers: string[] = [];
  readonly #answers = new Map<number, (result: { readonly profile: { readonly head: ProfileNode } }) => void>();
  #messages = 0;

  private constructor() {
    this.#session.connect();
    this.#session.on('NodeWorker.attachedToWorker', ({ params }) => this.#workers.push(params.sessionId));
    this.#session.on('NodeWorker.receivedMessageFromWorker', ({ params }) => {
      const { id, result, error } = JSON.parse(params.message);
      if (error) throw new Error(error.message);
      this.#answers.get(id)?.(result);
      this.#answers.delete(id);
    });
    this.#session.post('NodeWorker.enable', { waitForDebuggerOnStart: false });
  }

  /** Throws when so many threads are not seen in time. */
  static async of(threads: number): Promise<WorkerAllocations> {
    const all = new WorkerAllocations();
    await until(
      `${threads} threads are seen`,
      () => all.#workers.length,
      (count) => count === threads,
      20_000,
    );
    return all;
  }

  async start(): Promise<void> {
    const options = {
      samplingInterval: 128,
      includeObjectsCollectedByMajorGC: true,
      includeObjectsCollectedByMinorGC: true,
    };
    await this.#ask('HeapProfiler.startSampling', options);
  }

  /** One a worker. */
  async stop(): Promise<Allocations[]> {
    const profiles = await this.#ask('HeapProfiler.stopSampling', {});
    return profiles.map(({ profile }) => {
      const sizes: Record<string, number> = {};
      const visit = ({ callFrame: { functionName, url, lineNumber }, selfSize, children }: ProfileNode) => {
        const name = `${functionName} ${url.replace(/^.*\/dist\//, '')}:${lineNumber + 1}`;
        if (selfSize > 0) sizes[name] = (sizes[name] ?? 0) + selfSize;
        for (const child of children) visit(child);
      };
      visit(profile.head);
      return sizes;
    });
  }

  close(): void {
    this.#session.disconnect();
  }

  #ask(method: string, params: object) {
    return Promise.all(
      this.#workers.map(
        (sessionId) =>
          new Promise<{ readonly profile: { readonly head: ProfileNode } }>((resolve) => {
            const id = ++this.#messages;
            this.#answers.set(id, resolve);
            this.#session.post('NodeWorker.sendMessageToWorker', {
              sessionId,
              message: JSON.stringify({ id, method, params }),
            });
          }),
      ),
    );
  }
}
