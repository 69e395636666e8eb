import { equalBytes } from '../bytes.js';
import { type Millis, never } from '../time.js';

/** Our tuning: the first words after a change are the likeliest to be lost, while the new way out does not carry yet. */
const waits: readonly Millis[] = [50, 100, 200, 400];

/**
 * Our network is another, and the other side is to hear from where we speak now: a probe, said again until it is answered. One
 * that was lost would be made up for by the next probe of the plane, on an idle tunnel seconds later.
 *
 *     shown ── echo, or the fifth was said ──► over
 */
export class Showing {
  readonly nonce: Uint8Array;
  #said = 0;
  #dueAt: Millis;

  /** `nonce`: 8 fresh octets. The first probe is due at once. */
  constructor(nonce: Uint8Array, now: Millis) {
    this.nonce = nonce;
    this.#dueAt = now;
  }

  get deadline(): Millis {
    return this.#dueAt;
  }

  isAnsweredBy(nonce: Uint8Array): boolean {
    return equalBytes(this.nonce, nonce);
  }

  /** Whether the probe is to be said now. */
  isDue(now: Millis): boolean {
    if (now < this.#dueAt) return false;
    const wait = waits[this.#said++];
    this.#dueAt = wait === undefined ? never : now + wait;
    return true;
  }
}
