import type { Destination } from './destination.js';

const nobody: readonly number[] = [];

/**
 * Who answers for which destinations, and for how many each; several may for one. By node numbers, or by interfaces. Who gives it some
 * bounds their number.
 */
export class Shares {
  readonly #holders = new Map<Destination, readonly number[]>();
  readonly #counts = new Map<number, number>();

  /** How many destinations somebody answers for. */
  get size(): number {
    return this.#holders.size;
  }

  holders(destination: Destination): readonly number[] {
    return this.#holders.get(destination) ?? nobody;
  }

  has(destination: Destination, holder: number): boolean {
    return this.holders(destination).includes(holder);
  }

  /** How many this one answers for. */
  of(holder: number): number {
    return this.#counts.get(holder) ?? 0;
  }

  /** Who answers for most. */
  largest(): number | undefined {
    let largest: number | undefined;
    for (const [holder, count] of this.#counts) {
      if (largest === undefined || count > this.of(largest)) largest = holder;
    }
    return largest;
  }

  add(destination: Destination, holder: number): void {
    const holders = this.holders(destination);
    if (!holders.includes(holder)) this.set(destination, [...holders, holder]);
  }

  /** From now on these, each once, answer for it. True when one of those before does no more. */
  set(destination: Destination, holders: readonly number[]): boolean {
    const before = this.holders(destination);
    const left = before.filter((holder) => !holders.includes(holder));
    for (const holder of left) this.#count(holder, -1);
    for (const holder of holders) if (!before.includes(holder)) this.#count(holder, 1);
    if (holders.length > 0) this.#holders.set(destination, holders);
    else this.#holders.delete(destination);
    return left.length > 0;
  }

  #count(holder: number, step: 1 | -1): void {
    const count = this.of(holder) + step;
    if (count > 0) this.#counts.set(holder, count);
    else this.#counts.delete(holder);
  }
}
