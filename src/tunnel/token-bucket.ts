import type { Millis } from '../time.js';

/** A rate with a burst: full at first, `perSecond` tokens are added until there are `burst`. */
export class TokenBucket {
  readonly #perSecond: number;
  readonly #burst: number;
  #tokens: number;
  #filled = Number.NEGATIVE_INFINITY;

  constructor(perSecond: number, burst: number) {
    this.#perSecond = perSecond;
    this.#burst = burst;
    this.#tokens = burst;
  }

  /** Takes a token, or says there is none. A step back of the clock counts as zero. */
  take(now: Millis): boolean {
    const idle = Math.max(0, now - this.#filled);
    this.#tokens = Math.min(this.#burst, this.#tokens + (idle * this.#perSecond) / 1000);
    this.#filled = now;
    if (this.#tokens < 1) return false;
    this.#tokens--;
    return true;
  }
}
