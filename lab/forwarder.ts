import { type ChildProcess, spawn } from 'node:child_process';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import type { Millis } from '../src/time.js';
import type { Wire } from './wire.js';

/** What the forwarder does to the frames of one direction. */
export interface Delays {
  readonly delay: Millis;
  readonly jitter: Millis;
  readonly reorder: number;
}

/** An order to the forwarder process, one JSON text a line. */
export interface DelayOrder {
  readonly wire: number;
  readonly outwards: Delays;
  readonly inwards: Delays;
}

/** What the forwarder process is told first: the chance it draws from, and where its TAP devices belong. */
export interface ForwarderPlan {
  readonly seed: number;
  readonly wires: readonly { readonly near: TapPlace; readonly far: TapPlace }[];
}

export interface TapPlace {
  readonly namespace: string;
  readonly device: string;
}

/** One process that carries the frames of all delayed wires of a world: a pair of TAP devices for each. */
export class Forwarder {
  readonly #child: ChildProcess;
  readonly #numbers = new Map<Wire, number>();

  private constructor(child: ChildProcess) {
    this.#child = child;
  }

  /** Starts it; once this resolves the devices exist. They vanish with the process. */
  static async start(plan: ForwarderPlan): Promise<Forwarder> {
    const child = spawn(process.execPath, [join(import.meta.dirname, 'forwarder-process.js')], {
      stdio: ['pipe', 'pipe', 'inherit'],
    });
    child.stdin.on('error', () => {}); // it ended: `exit` below tells
    child.stdin.write(`${JSON.stringify(plan)}\n`);
    const lines = createInterface({ input: child.stdout });
    await new Promise<void>((resolve, reject) => {
      lines.once('line', () => resolve());
      child.once('exit', (code) => reject(new Error(`the wires' forwarder ended with ${code}`)));
    });
    child.unref();
    return new Forwarder(child);
  }

  /** Says which wire has which number in the plan. */
  adopt(wire: Wire, number: number): void {
    this.#numbers.set(wire, number);
  }

  set(wire: Wire, outwards: Delays, inwards: Delays): void {
    const order: DelayOrder = { wire: this.#numbers.get(wire)!, outwards, inwards };
    this.#child.stdin!.write(`${JSON.stringify(order)}\n`);
  }

  stop(): void {
    this.#child.kill('SIGKILL');
  }
}
