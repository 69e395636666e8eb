import type { Millis } from '../../time.js';
import type { AddressWords } from './packet.js';

const mostSegments = 256;
const mostPerDestination = 64;
/** TCP lets the network hold a segment for two minutes (RFC 9293 §3.4.1, MSL). */
const lifetime: Millis = 120_000;

interface Kept {
  readonly destination: AddressWords;
  readonly bytes: Uint8Array;
  readonly until: Millis;
  readonly sent: boolean;
}

/**
 * The newest segment of each TCP flow that had no way to its destination: 256, of these 64 a destination, two minutes each; the
 * one that waits longest goes first. Whoever sends a stream doubles its wait with each repetition that is lost; handed
 * on when the way is back, the last of them spares it the rest of that wait.
 *
 *   keep ──► [oldest … newest] ──► take, once
 *               └─► given up: a newer one of its flow, no room, two minutes
 */
export class LastSegments {
  /** By flow, in the order they were kept. */
  readonly #kept = new Map<string, Kept>();

  get isEmpty(): boolean {
    return this.#kept.size === 0;
  }

  /**
   * Keeps `bytes`, which are the keeper's from now on, instead of what was kept of this flow. `sent`: they were sent
   * too, into doubt. How many others were given up that had not been sent.
   */
  keep(flow: string, destination: AddressWords, bytes: Uint8Array, sent: boolean, now: Millis): number {
    let lost = this.forget(flow);
    let oldest: string | undefined;
    let same = 0;
    for (const [key, kept] of this.#kept) {
      if (!kept.destination.equals(destination)) continue;
      oldest ??= key;
      same++;
    }
    if (same >= mostPerDestination) lost += this.forget(oldest!);
    else if (this.#kept.size >= mostSegments) lost += this.forget(this.#kept.keys().next().value!);
    this.#kept.set(flow, { destination: destination.copy(), bytes, until: now + lifetime, sent });
    return lost;
  }

  /** Gives up what is kept of a flow; 1 when that had not been sent, else 0. */
  forget(flow: string): number {
    const lost = this.#kept.get(flow)?.sent === false ? 1 : 0;
    this.#kept.delete(flow);
    return lost;
  }

  /** Takes out all whose destination has a way now, oldest first. */
  take(hasWay: (destination: AddressWords) => boolean): Uint8Array[] {
    const taken: Uint8Array[] = [];
    for (const [flow, { destination, bytes }] of this.#kept) {
      if (!hasWay(destination)) continue;
      taken.push(bytes);
      this.#kept.delete(flow);
    }
    return taken;
  }

  /** Gives up what was kept for two minutes; how many of these had not been sent. */
  expire(now: Millis): number {
    let lost = 0;
    for (const [flow, { until }] of this.#kept) {
      if (until > now) break;
      lost += this.forget(flow);
    }
    return lost;
  }
}
