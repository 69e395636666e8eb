import type { Millis } from '../../src/time.js';
import type { Observer } from './network.js';
import { readPacket, type Seen } from './packet-view.js';

/** An observer that is told what stands in the packets. */
export interface Checker extends Pick<Observer, 'died' | 'started' | 'linkDown' | 'settled'> {
  sent?(from: number, to: number, packet: readonly Seen[], now: Millis): void;
  delivered?(from: number, to: number, packet: readonly Seen[], now: Millis, isOfFormerStart?: boolean): void;
}

/**
 * Reads every packet once for all its checkers. A scan is cheaper than to remember what it saw of each packet on its
 * way: with one, packets are read when they are sent and again when they are delivered.
 */
export class Reading implements Observer {
  readonly #checkers: readonly Checker[];
  readonly #read: (bytes: Uint8Array) => readonly Seen[];
  /** What is on its way, read when it was sent. */
  readonly #seen: WeakMap<Uint8Array, readonly Seen[]> | undefined;

  constructor(checkers: readonly Checker[], scan?: (bytes: Uint8Array) => readonly Seen[]) {
    this.#checkers = checkers;
    this.#read = scan ?? readPacket;
    this.#seen = scan ? undefined : new WeakMap();
  }

  sent(from: number, to: number, bytes: Uint8Array, now: Millis): void {
    const packet = this.#read(bytes);
    this.#seen?.set(bytes, packet);
    for (const checker of this.#checkers) checker.sent?.(from, to, packet, now);
  }

  delivered(from: number, to: number, bytes: Uint8Array, now: Millis, isOfFormerStart = false): void {
    const packet = this.#seen?.get(bytes) ?? this.#read(bytes);
    for (const checker of this.#checkers) checker.delivered?.(from, to, packet, now, isOfFormerStart);
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
