import type { Millis } from '../../time.js';

const most = 64;
const patience: Millis = 1000;

interface Half {
  readonly second: boolean;
  readonly bytes: Uint8Array;
  readonly until: Millis;
}

/**
 * Frames cut in two by a neighbour, waiting for their other half: 64 at most, a second each, the oldest out first. Only
 * opened, authentic halves come here, so a stranger cannot fill it.
 */
export class Joins {
  readonly #halves = new Map<string, Half>();
  /** Halves that went for others, before their time, since `expire` told it. */
  #displaced = 0;

  /**
   * Takes a half of the pair whose first counter is `counter`; returns the other half when it waits here. `index`: the
   * lane. Copies the octets.
   */
  add(index: number, counter: number, second: boolean, bytes: Uint8Array, now: Millis): Uint8Array | undefined {
    const key = `${index}/${counter}`;
    const other = this.#halves.get(key);
    if (other && other.second !== second && other.until > now) {
      this.#halves.delete(key);
      return other.bytes;
    }
    if (this.#halves.delete(key)) this.#displaced++;
    this.#halves.set(key, { second, bytes: new Uint8Array(bytes), until: now + patience });
    if (this.#halves.size > most) {
      this.#halves.delete(this.#halves.keys().next().value!);
      this.#displaced++;
    }
    return undefined;
  }

  /** Drops halves that waited too long; how many, with those that had to go for others. */
  expire(now: Millis): number {
    let dropped = this.#displaced;
    this.#displaced = 0;
    for (const [key, half] of this.#halves) {
      if (half.until > now) break;
      this.#halves.delete(key);
      dropped++;
    }
    return dropped;
  }

  get isEmpty(): boolean {
    return this.#halves.size === 0;
  }
}
