import type { Destination } from './destination.js';

const nobody: readonly never[] = [];

/**
 * Who answers for which destinations, and for how many each; several may for one. By node numbers, by interfaces, or by neighbours. Who
 * gives it some bounds their number.
 */
export class Shares<Holder = number> {
  readonly #holders = new Map<Destination, readonly Holder[]>();
  readonly #counts = new Map<Holder, number>();

  /** How many destinations somebody answers for. */
  get size(): number {
    return this.#holders.size;
  }

  holders(destination: Destination): readonly Holder[] {
    return this.#holders.get(destination) ?? nobody;
  }

  has(destination: Destination, holder: Holder): boolean {
    return this.holders(destination).includes(holder);
  }

  /** How many this one answers for. */
  of(holder: Holder): number {
    return this.#counts.get(holder) ?? 0;
  }

  /** Who answers for most. */
  largest(): Holder | undefined {
    let largest: Holder | undefined;
    for (const [holder, count] of this.#counts) {
      if (largest === undefined || count > this.of(largest)) largest = holder;
    }
    return largest;
  }

  add(destination: Destination, holder: Holder): void {
    const holders = this.holders(destination);
    if (!holders.includes(holder)) this.set(destination, [...holders, holder]);
  }

  /** From now on these, each once, answer for it. True when one of those before does no more. */
  set(destination: Destination, holders: readonly Holder[]): boolean {
    const before = this.holders(destination);
    const left = before.filter((holder) => !holders.includes(holder));
    for (const holder of left) this.#count(holder, -1);
    for (const holder of holders) if (!before.includes(holder)) this.#count(holder, 1);
    if (holders.length > 0) this.#holders.set(destination, holders);
    else this.#holders.delete(destination);
    return left.length > 0;
  }

  #count(holder: Holder, step: 1 | -1): void {
    const count = this.of(holder) + step;
    if (count > 0) this.#counts.set(holder, count);
    else this.#counts.delete(holder);
  }
}
