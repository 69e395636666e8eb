import type { ChildProcess } from 'node:child_process';
import { createHash } from 'node:crypto';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import type { Millis } from '../src/time.js';
import type { Host } from './machines.js';

/** A file offered over HTTP on a machine of the lab. */
export interface Offer {
  readonly url: string;
  readonly octets: number;
  readonly checksum: string;
  stop(): void;
}

/** Serves a made-up file of so many octets at an address of this machine. */
export async function offer(host: Host, address: string, octets: number, port = 8080): Promise<Offer> {
  const script = join(import.meta.dirname, 'file-server.js');
  const child = host.namespace.spawn([process.execPath, script, address, String(port), String(octets)]);
  const errors: Buffer[] = [];
  child.stderr.on('data', (chunk: Buffer) => errors.push(chunk));
  const checksum = await new Promise<string>((resolve, reject) => {
    createInterface({ input: child.stdout }).once('line', resolve);
    child.once('exit', (code) => reject(new Error(`the file server ended with ${code}: ${Buffer.concat(errors)}`)));
  });
  return { url: `http://[${address}]:${port}/file`, octets, checksum, stop: () => void child.kill('SIGKILL') };
}

/** How a download went, or goes. */
export class Download {
  readonly #child: ChildProcess;
  readonly #hash = createHash('sha256');
  readonly #started = performance.now();
  #octets = 0;
  #last = performance.now();
  #longestPause = 0;
  #took = 0;
  readonly finished: Promise<void>;

  /** Fetches with the real curl on this machine. */
  constructor(host: Host, url: string) {
    const child = host.namespace.spawn(['curl', '--silent', '--show-error', '--fail', '--globoff', '--no-buffer', url]);
    this.#child = child;
    const errors: Buffer[] = [];
    child.stderr.on('data', (chunk: Buffer) => errors.push(chunk));
    child.stdout.on('data', (chunk: Buffer) => {
      const now = performance.now();
      // The wait for the first octet is a connection being made, not a pause.
      if (this.#octets > 0) this.#longestPause = Math.max(this.#longestPause, now - this.#last);
      this.#last = now;
      this.#octets += chunk.length;
      this.#hash.update(chunk);
    });
    this.finished = new Promise((resolve, reject) => {
      child.once('error', reject);
      child.once('close', (code) => {
        this.#took = performance.now() - this.#started;
        if (code === 0) resolve();
        else reject(new Error(`curl ended with ${code} after ${this.#octets} octets: ${Buffer.concat(errors)}`));
      });
    });
    this.finished.catch(() => {}); // whoever waits for it hears of it
  }

  get octets(): number {
    return this.#octets;
  }

  /** The longest time between two chunks so far, the present silence included while it runs. */
  get longestPause(): Millis {
    const now = this.#took > 0 || this.#octets === 0 ? 0 : performance.now() - this.#last;
    return Math.max(this.#longestPause, now);
  }

  /** From start to end; 0 while it runs. */
  get took(): Millis {
    return this.#took;
  }

  /** SHA-256 of what came; ask once, at the end. */
  checksum(): string {
    return this.#hash.digest('hex');
  }

  stop(): void {
    this.#child.kill('SIGKILL');
  }
}
