import type { Millis } from './time.js';

/**
 * A rate with a burst: full at first, filled with `perSecond` until there is `burst`; any amount may be taken at a
 * time.
 */
export class Bucket {
  readonly #perMilli: number;
  readonly #burst: number;
  #level: number;
  #at: Millis = Number.NEGATIVE_INFINITY;

  constructor(perSecond: number, burst: number) {
    this.#perMilli = perSecond / 1000;
    this.#burst = burst;
    this.#level = burst;
  }

  /** True when `amount` may pass now; then it is taken. A step back of the clock counts as zero. */
  take(now: Millis, amount = 1): boolean {
    this.#fill(now);
    if (this.#level < amount) return false;
    this.#level -= amount;
    return true;
  }

  /** Of what was taken so much was not needed. */
  giveBack(amount: number): void {
    this.#level = Math.min(this.#burst, this.#level + amount);
  }

  /** True when it is as if nothing had ever been taken. */
  isFull(now: Millis): boolean {
    this.#fill(now);
    return this.#level === this.#burst;
  }

  #fill(now: Millis): void {
    if (now <= this.#at) return;
    this.#level = Math.min(this.#burst, this.#level + (now - this.#at) * this.#perMilli);
    this.#at = now;
  }
}
