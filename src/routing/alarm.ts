import { type Millis, never } from '../time.js';

/**
 * No later than the earliest of many deadlines, so that most calls need not look at them all. Whoever sets a deadline
 * calls `by`; a deadline that moves away leaves the alarm early, and whoever it wakes looks at all and sets it anew.
 */
export class Alarm {
  at: Millis = never;

  by(at: Millis): void {
    if (at < this.at) this.at = at;
  }
}

/**
 * One alarm for each of many, by number, in one array: whoever is woken finds those that are due without asking them
 * all.
 */
export class Alarms {
  #at: Float64Array = new Float64Array(4).fill(never);
  readonly #earliest = new Alarm();

  /** No later than the earliest. */
  get at(): Millis {
    return this.#earliest.at;
  }

  by(index: number, at: Millis): void {
    if (index >= this.#at.length) {
      const more = new Float64Array(index + (index >> 1) + 1).fill(never);
      more.set(this.#at);
      this.#at = more;
    }
    if (at >= this.#at[index]!) return;
    this.#at[index] = at;
    this.#earliest.by(at);
  }

  clear(index: number): void {
    if (index < this.#at.length) this.#at[index] = never;
  }

  /** Takes out what is due, one after the other; what they set again counts. */
  ring(now: Millis, due: (index: number) => void): void {
    this.#earliest.at = never;
    for (let index = 0; index < this.#at.length; index++) {
      if (this.#at[index]! <= now) {
        this.#at[index] = never;
        due(index);
      }
    }
    for (const at of this.#at) this.#earliest.by(at);
  }
}
