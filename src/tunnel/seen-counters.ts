const remembered = 16;

/**
 * The counters of initiations already heard of one incarnation, so that a replay is told from a new one. Two handshakes
 * may be under way at once, direct and over the overlay, and the one begun later may arrive first: hence a set, not a
 * highest.
 */
export class SeenCounters {
  /** Ascending; everything up to and including `#floor` counts as heard. */
  #heard: number[] = [];
  #floor = 0;

  /** Notes one; false when it was heard before, or is so old that nobody remembers. */
  add(counter: number): boolean {
    if (counter <= this.#floor || this.#heard.includes(counter)) return false;
    this.#heard = [...this.#heard, counter].sort((a, b) => a - b);
    if (this.#heard.length > remembered) this.#floor = this.#heard.shift()!;
    return true;
  }
}
