import type { Millis } from '../../src/time.js';
import type { Observer } from './network.js';
import { readPacket, type Seen } from './packet-view.js';

/** An observer that is told what stands in the packets. */
export interface Checker extends Pick<Observer, 'died' | 'started' | 'linkDown' | 'settled'> {
  sent?(from: number, to: number, packet: readonly Seen[], now: Millis): void;
  delivered?(from: number, to: number, packet: readonly Seen[], now: Millis): void;
}

/** Reads every packet once for all its checkers; or none, where there are too many. */
export class Reading implements Observer {
  readonly #checkers: readonly Checker[];
  readonly #reads: boolean;

  constructor(checkers: readonly Checker[], reads = true) {
    this.#checkers = checkers;
    this.#reads = reads;
  }

  sent(from: number, to: number, bytes: Uint8Array, now: Millis): void {
    if (!this.#reads) return;
    const packet = readPacket(bytes);
    for (const checker of this.#checkers) checker.sent?.(from, to, packet, now);
  }

  delivered(from: number, to: number, bytes: Uint8Array, now: Millis): void {
    if (!this.#reads) return;
    const packet = readPacket(bytes);
    for (const checker of this.#checkers) checker.delivered?.(from, to, packet, now);
  }

  died(node: number, now: Millis): void {
    for (const checker of this.#checkers) checker.died?.(node, now);
  }

  started(node: number, now: Millis): void {
    for (const checker of this.#checkers) checker.started?.(node, now);
  }

  linkDown(node: number, peer: number, now: Millis): void {
    for (const checker of this.#checkers) checker.linkDown?.(node, peer, now);
  }

  settled(node: number, now: Millis): void {
    for (const checker of this.#checkers) checker.settled?.(node, now);
  }
}
