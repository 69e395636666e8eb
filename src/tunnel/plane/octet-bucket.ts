import type { Millis } from '../../time.js';

/** A rate with a burst, of which any amount may be taken at a time. */
export class OctetBucket {
  readonly #perMilli: number;
  readonly #burst: number;
  #level: number;
  #at: Millis;

  constructor(perSecond: number, burst: number, now: Millis) {
    this.#perMilli = perSecond / 1000;
    this.#burst = burst;
    this.#level = burst;
    this.#at = now;
  }

  /** True when `amount` may pass now; then it is taken. */
  take(amount: number, now: Millis): boolean {
    if (now > this.#at) {
      this.#level = Math.min(this.#burst, this.#level + (now - this.#at) * this.#perMilli);
      this.#at = now;
    }
    if (this.#level < amount) return false;
    this.#level -= amount;
    return true;
  }
}
