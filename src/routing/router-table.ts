import type { Random } from '../random.js';
import { hashKeys, shiftFor } from './keyed-hash.js';
import { highOf, lowOf, type RouterId, routerIdFrom } from './router-id.js';

/** All places: one number fewer than two octets hold. */
const places = 0xffff;
/**
 * Of these, for router-ids of our own, however many others there are. Ours change once a minute at most, and the sweep frees
 * those before; a few are still bounds of what is feasible.
 */
const ownPlaces = 16;

/** Both halves, as signed numbers, and the next number of the same bucket. */
const stride = 3;

/**
 * Router-ids as small numbers, so that a route spends two octets on its own. At most 65,535; `retain` frees those no
 * longer in use.
 */
export class RouterTable {
  #cells: Int32Array = new Int32Array(16 * stride);
  #buckets: Int32Array = new Int32Array(16).fill(-1);
  readonly #keys: Int32Array;
  #count = 0;
  /** Their texts, made when first asked for. */
  readonly #ids: (RouterId | undefined)[] = [];
  readonly #free: number[] = [];

  /** `random`: the hash's keys. */
  constructor(random: Random) {
    this.#keys = hashKeys(4, random);
  }

  get size(): number {
    return this.#count - this.#free.length;
  }

  /** The number of this router-id; -1 when it has none. */
  find(high: number, low: number): number {
    const cells = this.#cells;
    let index = this.#buckets[this.#bucket(high, low)]!;
    while (index >= 0 && !this.is(index, high, low)) index = cells[stride * index + 2]!;
    return index;
  }

  /** The number of another's router-id, a new one if need be; -1 when the table is full. */
  intern(high: number, low: number): number {
    return this.#intern(high, low, places - ownPlaces);
  }

  /** The number of a router-id of ours; there is always one. */
  internOwn(id: RouterId): number {
    return this.#intern(highOf(id), lowOf(id), places);
  }

  #intern(high: number, low: number, most: number): number {
    const known = this.find(high, low);
    if (known >= 0) return known;
    if (this.size >= most) return -1;
    const index = this.#free.pop() ?? this.#count;
    if (index === this.#count) this.#grow();
    this.#ids[index] = undefined;
    this.#cells[stride * index] = high;
    this.#cells[stride * index + 1] = low;
    this.#link(index);
    return index;
  }

  is(index: number, high: number, low: number): boolean {
    return this.#cells[stride * index + 1] === (low | 0) && this.#cells[stride * index] === (high | 0);
  }

  high(index: number): number {
    return this.#cells[stride * index]! >>> 0;
  }

  low(index: number): number {
    return this.#cells[stride * index + 1]! >>> 0;
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
    this.#buckets.fill(-1);
    for (let index = 0; index < this.#count; index++) {
      if (used.has(index)) this.#link(index);
      else if (!free.has(index)) this.#free.push(index);
    }
  }

  #link(index: number): void {
    const bucket = this.#bucket(this.high(index), this.low(index));
    this.#cells[stride * index + 2] = this.#buckets[bucket]!;
    this.#buckets[bucket] = index;
  }

  #grow(): void {
    this.#count++;
    if (stride * this.#count > this.#cells.length) {
      const cells = new Int32Array(stride * Math.ceil(1.5 * this.#count));
      cells.set(this.#cells);
      this.#cells = cells;
    }
    if (this.#count <= this.#buckets.length) return;
    this.#buckets = new Int32Array(2 * this.#buckets.length).fill(-1);
    const free = new Set(this.#free);
    for (let index = 0; index < this.#count - 1; index++) if (!free.has(index)) this.#link(index);
  }

  #bucket(high: number, low: number): number {
    const keys = this.#keys;
    const sum =
      Math.imul(keys[0]!, high >>> 16) +
      Math.imul(keys[1]!, high & 0xffff) +
      Math.imul(keys[2]!, low >>> 16) +
      Math.imul(keys[3]!, low & 0xffff) +
      keys[4]!;
    return (sum | 0) >>> shiftFor(this.#buckets.length);
  }
}
