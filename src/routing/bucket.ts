import type { Millis } from '../time.js';

/** At most `burst` at once and `rate` a second after that. */
export class Bucket {
  readonly #burst: number;
  readonly #rate: number;
  #level: number;
  #at: Millis;

  constructor(burst: number, rate: number, now: Millis) {
    this.#burst = burst;
    this.#rate = rate;
    this.#level = burst;
    this.#at = now;
  }

  take(now: Millis): boolean {
    this.#level = Math.min(this.#burst, this.#level + (Math.max(0, now - this.#at) * this.#rate) / 1000);
    this.#at = Math.max(this.#at, now);
    if (this.#level < 1) return false;
    this.#level--;
    return true;
  }
}
