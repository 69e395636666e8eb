import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import type { Millis } from '../src/time.js';
import type { Host } from './machines.js';
import { until } from './until.js';

const script = join(import.meta.dirname, 'talk-process.js');

/** A TCP connection from one machine to an address of another over which both talk all the time: does it survive? */
export class Talk {
  readonly #ends: readonly ChildProcess[];
  /** When the newest line that came back was sent, by the wall clock. */
  #newest = 0;
  #isBroken = false;

  private constructor(ends: readonly [ChildProcess, ChildProcess]) {
    this.#ends = ends;
    createInterface({ input: ends[1].stdout! }).on('line', (line) => {
      this.#newest = Number(line);
    });
    ends[1].once('exit', () => {
      this.#isBroken = true;
    });
  }

  static async begin(from: Host, to: Host, address: string, port = 7001): Promise<Talk> {
    const listening = to.namespace.spawn([process.execPath, script, 'listen', address, String(port)]);
    await once(listening.stdout, 'data');
    const connecting = from.namespace.spawn([process.execPath, script, 'connect', address, String(port)]);
    const talk = new Talk([listening, connecting]);
    await talk.goesOn(5000);
    return talk;
  }

  /** Waits until something that is sent after now has come back over the same connection; gives how long that took. */
  async goesOn(within: Millis): Promise<Millis> {
    const now = Date.now();
    const { took } = await until(
      'the TCP connection goes on',
      () => (this.#isBroken ? 'broken' : this.#newest > now),
      (state) => state !== false,
      within,
    );
    if (this.#isBroken) throw new Error('the TCP connection broke');
    return took;
  }

  stop(): void {
    for (const end of this.#ends) end.kill('SIGKILL');
  }
}
