import { randomFillSync } from 'node:crypto';
import { secretBytes } from './secret-bytes.js';

/** A source of chance, passed into every core that needs one. */
export interface Random {
  /** A whole number, uniform in [0, bound); bound is at most 2^32. */
  below(bound: number): number;
  /** A real number, uniform in [0, 1). */
  unit(): number;
  /** `length` fresh octets, owned by the caller. */
  bytes(length: number): Uint8Array;
}

function fromWords(word: () => number): Random {
  return {
    below(bound) {
      const limit = 2 ** 32 - (2 ** 32 % bound);
      for (;;) {
        const drawn = word();
        if (drawn < limit) return drawn % bound;
      }
    },
    unit: () => word() / 2 ** 32,
    bytes(length) {
      const out = new Uint8Array(length);
      for (let i = 0; i < length; i++) out[i] = word() & 0xff;
      return out;
    },
  };
}

/** Chance from the operating system, fit for keys. The only impure source; daemons pass it in. */
export function systemRandom(): Random {
  const pool = new Uint32Array(256);
  let next = pool.length;
  const random = fromWords(() => {
    if (next === pool.length) {
      randomFillSync(pool);
      next = 0;
    }
    const word = pool[next]!;
    pool[next++] = 0;
    return word;
  });
  return { ...random, bytes: (length) => randomFillSync(secretBytes(length)) };
}

/** Chance that repeats: the same seed gives the same run (xoshiro128**, seeded by splitmix32). Never for keys. */
export function seededRandom(seed: number): Random {
  let mixed = seed >>> 0;
  const mix = () => {
    mixed = (mixed + 0x9e3779b9) >>> 0;
    let z = mixed;
    z = Math.imul(z ^ (z >>> 16), 0x85ebca6b);
    z = Math.imul(z ^ (z >>> 13), 0xc2b2ae35);
    return (z ^ (z >>> 16)) >>> 0;
  };
  let a = mix();
  let b = mix();
  let c = mix();
  let d = mix();
  const rotate = (value: number, by: number) => (value << by) | (value >>> (32 - by));
  return fromWords(() => {
    const result = Math.imul(rotate(Math.imul(b, 5), 7), 9) >>> 0;
    const shifted = b << 9;
    c ^= a;
    d ^= b;
    b ^= c;
    a ^= d;
    c ^= shifted;
    d = rotate(d, 11);
    return result;
  });
}
