import { highOf, lowOf, type RouterId, routerIdFrom } from './router-id.js';

/**
 * Router-ids as small numbers, so that a route spends two octets on its own. At most 65,535; `retain` frees those no longer
 * in use.
 */
export class RouterTable {
  readonly #indexes = new Map<number, number[]>();
  readonly #high: number[] = [];
  readonly #low: number[] = [];
  readonly #free: number[] = [];

  get size(): number {
    return this.#high.length - this.#free.length;
  }

  /** The number of this router-id, a new one if need be; -1 when the table is full. */
  intern(high: number, low: number): number {
    const chain = this.#indexes.get(this.#hash(high, low));
    if (chain) for (const index of chain) if (this.#high[index] === high && this.#low[index] === low) return index;
    const index = this.#free.pop() ?? this.#high.length;
    if (index >= 0xffff) return -1;
    this.#high[index] = high;
    this.#low[index] = low;
    if (chain) chain.push(index);
    else this.#indexes.set(this.#hash(high, low), [index]);
    return index;
  }

  internId(id: RouterId): number {
    return this.intern(highOf(id), lowOf(id));
  }

  is(index: number, high: number, low: number): boolean {
    return this.#low[index] === low && this.#high[index] === high;
  }

  high(index: number): number {
    return this.#high[index]!;
  }

  low(index: number): number {
    return this.#low[index]!;
  }

  id(index: number): RouterId {
    return routerIdFrom(this.#high[index]!, this.#low[index]!);
  }

  /** Node number of the first 3 octets. */
  node(index: number): number {
    return this.#high[index]! >>> 8;
  }

  /** The last 5 octets. */
  epoch(index: number): number {
    return (this.#high[index]! & 0xff) * 2 ** 32 + this.#low[index]!;
  }

  /** Forgets every router-id whose number is not in `used`. */
  retain(used: ReadonlySet<number>): void {
    const free = new Set(this.#free);
    for (let index = 0; index < this.#high.length; index++) {
      if (used.has(index) || free.has(index)) continue;
      const hash = this.#hash(this.#high[index]!, this.#low[index]!);
      const chain = this.#indexes.get(hash)!.filter((other) => other !== index);
      if (chain.length > 0) this.#indexes.set(hash, chain);
      else this.#indexes.delete(hash);
      this.#free.push(index);
    }
  }

  #hash(high: number, low: number): number {
    return Math.imul(high, 0x9e3779b1) ^ low;
  }
}
