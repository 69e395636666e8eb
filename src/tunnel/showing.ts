import { equalBytes } from '../bytes.js';
import { type Millis, never, second } from '../time.js';

/** Our tuning: the first words after a change are the likeliest to be lost, while the new way out does not carry yet. */
const waits: readonly Millis[] = [50, 100, 200, 400];
/** A bridge that learns its ports or a Wi-Fi that wants a password has given us our address long before it carries. */
const laterWait: Millis = 500;
const saidFor: Millis = 10 * second;

/**
 * Our network is another, and the other side is to hear from where we speak now: a probe, said again until it is answered. One
 * that was lost would be made up for by the next probe of the plane, on an idle tunnel seconds later.
 *
 *     shown ── echo, or 10 s have passed ──► over
 */
export class Showing {
  readonly nonce: Uint8Array;
  readonly #until: Millis;
  #said = 0;
  #dueAt: Millis;

  /** `nonce`: 8 fresh octets. The first probe is due at once. */
  constructor(nonce: Uint8Array, now: Millis) {
    this.nonce = nonce;
    this.#dueAt = now;
    this.#until = now + saidFor;
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
    const next = now + (waits[this.#said++] ?? laterWait);
    this.#dueAt = next > this.#until ? never : next;
    return true;
  }
}
