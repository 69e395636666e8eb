import { highOf, lowOf, type RouterId, routerIdFrom } from './router-id.js';

/**
 * Router-ids as small numbers, so that a route spends two octets on its own. At most 65,535; `retain` frees those no
 * longer in use.
 */
export class RouterTable {
  readonly #indexes = new Map<number, number[]>();
  /** Both halves of each, as signed numbers. */
  #words: Int32Array = new Int32Array(32);
  #count = 0;
  /** Their texts, made when first asked for. */
  readonly #ids: (RouterId | undefined)[] = [];
  readonly #free: number[] = [];

  get size(): number {
    return this.#count - this.#free.length;
  }

  /** The number of this router-id; -1 when it has none. */
  find(high: number, low: number): number {
    const chain = this.#indexes.get(this.#hash(high, low));
    if (chain) for (const index of chain) if (this.is(index, high, low)) return index;
    return -1;
  }

  /** The number of this router-id, a new one if need be; -1 when the table is full. */
  intern(high: number, low: number): number {
    const known = this.find(high, low);
    if (known >= 0) return known;
    const chain = this.#indexes.get(this.#hash(high, low));
    const index = this.#free.pop() ?? this.#count;
    if (index >= 0xffff) return -1;
    if (index === this.#count) this.#grow();
    this.#ids[index] = undefined;
    this.#words[2 * index] = high;
    this.#words[2 * index + 1] = low;
    if (chain) chain.push(index);
    else this.#indexes.set(this.#hash(high, low), [index]);
    return index;
  }

  internId(id: RouterId): number {
    return this.intern(highOf(id), lowOf(id));
  }

  is(index: number, high: number, low: number): boolean {
    return this.#words[2 * index + 1] === (low | 0) && this.#words[2 * index] === (high | 0);
  }

  high(index: number): number {
    return this.#words[2 * index]! >>> 0;
  }

  low(index: number): number {
    return this.#words[2 * index + 1]! >>> 0;
  }

  id(index: number): RouterId {
    this.#ids[index] ??= routerIdFrom(this.high(index), this.low(index));
    return this.#ids[index];
  }

  /** Node number of the first 3 octets. */
  node(index: number): number {
    return this.high(index) >>> 8;
  }

  /** The last 5 octets. */
  epoch(index: number): number {
    return (this.high(index) & 0xff) * 2 ** 32 + this.low(index);
  }

  /** Forgets every router-id whose number is not in `used`. */
  retain(used: ReadonlySet<number>): void {
    const free = new Set(this.#free);
    for (let index = 0; index < this.#count; index++) {
      if (used.has(index) || free.has(index)) continue;
      const hash = this.#hash(this.high(index), this.low(index));
      const chain = this.#indexes.get(hash)!.filter((other) => other !== index);
      if (chain.length > 0) this.#indexes.set(hash, chain);
      else this.#indexes.delete(hash);
      this.#free.push(index);
    }
  }

  #grow(): void {
    this.#count++;
    if (2 * this.#count <= this.#words.length) return;
    const words = new Int32Array(3 * this.#count);
    words.set(this.#words);
    this.#words = words;
  }

  #hash(high: number, low: number): number {
    return Math.imul(high, 0x9e3779b1) ^ low;
  }
}
