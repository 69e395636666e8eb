import type { ChildProcess } from 'node:child_process';
import { patience, until } from './until.js';
import type { Host } from './world.js';

/** Where routers run: a world of this folder, or one of lab/. */
export interface Place {
  /** A path for a file of this name, which goes with the place. */
  file(name: string): string;
  /** Starts a program on the host. */
  start(host: Host, program: string, ...args: readonly string[]): ChildProcess;
}

/** A running router whose words are kept. */
export class RouterProcess {
  readonly host: Host;
  readonly #child: ChildProcess;
  readonly #lines: string[] = [];
  #partial = '';

  constructor(place: Place, host: Host, program: string, ...args: readonly string[]) {
    this.host = host;
    this.#child = place.start(host, program, ...args);
    for (const stream of [this.#child.stdout, this.#child.stderr]) {
      stream?.setEncoding('utf8').on('data', (text: string) => this.#take(text));
    }
  }

  #take(text: string): void {
    const lines = (this.#partial + text).split('\n');
    this.#partial = lines.pop() ?? '';
    this.#lines.push(...lines);
  }

  /** All it has said so far. */
  get log(): readonly string[] {
    return this.#lines;
  }

  write(text: string): void {
    this.#child.stdin?.write(text);
  }

  get exited(): boolean {
    return this.#child.exitCode !== null || this.#child.signalCode !== null;
  }

  /** Ends it with a signal and waits until it is gone. */
  async end(signal: NodeJS.Signals): Promise<void> {
    this.#child.kill(signal);
    await until(`${this.host.name} ends on ${signal}`, patience, () => this.exited);
  }
}

/**
 * Lines in which babeld or BIRD complain of a packet they were sent: parse failures, bad or truncated TLVs, protocol
 * errors. The texts are those of babeld 1.12.1 and BIRD 2.0.12.
 */
export function parseComplaints(log: readonly string[]): string[] {
  return log.filter((line) =>
    /couldn't parse|bad tlv|bad packet|strange packet|malformed|truncated|unknown (ae|version|mandatory|kind)|incorrect rtt|with bad|invalid ae|inconsistent|bug:/i.test(
      line,
    ),
  );
}
