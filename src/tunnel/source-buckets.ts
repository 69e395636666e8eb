import { sourceOctets } from '../addr/ip.js';
import type { Random } from '../random.js';
import type { Millis } from '../time.js';

const ways = 4;

/**
 * Token buckets by source, in a table of fixed size that never allocates:
 *
 *     set = hash(address)   ┌ way 0 ┬ way 1 ┬ way 2 ┬ way 3 ┐   a way: 4 words of address, tokens, time of last use
 *
 * A source that finds its set full takes the way unused longest. Who owns very many addresses can so refill its buckets;
 * the guard's bucket for all sources together stands behind this one. The hash is salted: nobody can aim at a set.
 */
export class SourceBuckets {
  readonly #perSecond: number;
  readonly #burst: number;
  readonly #mask: number;
  readonly #salt: number;
  readonly #words: Int32Array;
  readonly #tokens: Float64Array;
  readonly #used: Float64Array;

  /** Room for `sources` of them: a power of two, at least 4. */
  constructor(sources: number, perSecond: number, burst: number, random: Random) {
    this.#perSecond = perSecond;
    this.#burst = burst;
    this.#mask = sources / ways - 1;
    this.#salt = random.below(2 ** 32) | 1;
    this.#words = new Int32Array(sources * 4);
    this.#tokens = new Float64Array(sources);
    this.#used = new Float64Array(sources).fill(Number.NEGATIVE_INFINITY);
  }

  /** Takes a token of this source, or says there is none. `address`: 16 octets, of which `sourceOctets` count. */
  take(address: Uint8Array, now: Millis): boolean {
    const a = word(address, 0);
    const b = word(address, 4);
    const whole = sourceOctets(address) === 16;
    const c = whole ? word(address, 8) : 0;
    const d = whole ? word(address, 12) : 0;
    const at = this.#find(a, b, c, d);
    // A step back of the clock counts as zero; a way never used has been idle for ever, so it is full.
    const idle = Math.max(0, now - this.#used[at]!);
    const tokens = Math.min(this.#burst, this.#tokens[at]! + (idle * this.#perSecond) / 1000);
    this.#used[at] = now;
    this.#tokens[at] = tokens >= 1 ? tokens - 1 : tokens;
    return tokens >= 1;
  }

  #find(a: number, b: number, c: number, d: number): number {
    let mixed = this.#salt;
    mixed = Math.imul(mixed ^ a, 0x85ebca6b);
    mixed = Math.imul(mixed ^ (mixed >>> 15) ^ b, 0xc2b2ae35);
    mixed = Math.imul(mixed ^ (mixed >>> 13) ^ c, 0x27d4eb2f);
    mixed = Math.imul(mixed ^ (mixed >>> 16) ^ d, 0x165667b1);
    const first = ((mixed ^ (mixed >>> 15)) & this.#mask) * ways;
    let oldest = first;
    for (let at = first; at < first + ways; at++) {
      const words = at * 4;
      if (
        this.#words[words] === a &&
        this.#words[words + 1] === b &&
        this.#words[words + 2] === c &&
        this.#words[words + 3] === d
      ) {
        return at;
      }
      if (this.#used[at]! < this.#used[oldest]!) oldest = at;
    }
    this.#words[oldest * 4] = a;
    this.#words[oldest * 4 + 1] = b;
    this.#words[oldest * 4 + 2] = c;
    this.#words[oldest * 4 + 3] = d;
    this.#used[oldest] = Number.NEGATIVE_INFINITY;
    return oldest;
  }
}

function word(bytes: Uint8Array, at: number): number {
  return (bytes[at]! << 24) | (bytes[at + 1]! << 16) | (bytes[at + 2]! << 8) | bytes[at + 3]!;
}
