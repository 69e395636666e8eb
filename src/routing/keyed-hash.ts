import type { Random } from '../random.js';

/**
 * Keys for hashes of values that members choose, so that nobody can choose many of one bucket. Multiply-shift: with
 * values cut into pieces x of 16 bits, the highest l bits of the sum of key · x and one more key, modulo 2^32, are the
 * bucket of 2^l. Whoever does not know the keys makes two different values meet with a chance of no more than 2^-l, for
 * l up to 17 (Dietzfelbinger 1996, §3; for pieces: Thorup, "High speed hashing for integers and strings", §3.5).
 */
export function hashKeys(pieces: number, random: Random): Int32Array {
  return Int32Array.from({ length: pieces + 1 }, () => random.below(2 ** 32));
}

/** How far a sum is to be shifted for so many buckets, a power of two from 2 to 2^17. */
export function shiftFor(buckets: number): number {
  return Math.clz32(buckets) + 1;
}
