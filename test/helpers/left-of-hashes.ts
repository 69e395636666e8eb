import type { Digest } from '../../src/digest.js';
import { secretBytes } from '../../src/secret-bytes.js';
import { timesInMemory } from './memory-search.js';

/** How often each secret of two hashes and two HMACs lies in this process's memory after them: keys, messages, results. */
export function leftOfHashes(digest: Digest): number[] {
  const key = distinct(0);
  const message = distinct(1);
  const block = padded(key);
  // node:crypto would keep what it has hashed until the collector comes.
  const inner = digest.sha256([block, message]);
  const result = digest.hmac(key, [message]);
  const hash = digest.sha256([message]);
  digest.hmac(key, [message]).fill(0);
  return timesInMemory([key, block, block.subarray(0, 32), message, inner, result, hash]);
}

/**
 * How often what the compression function makes of a hashed message (FIPS 180-4 §6.2.2) lies there: the last sixteen words of
 * its schedule, from which the message can be computed, as they are and with the constants added, by fours as vectors hold them.
 */
export function leftOfSchedule(digest: Digest): number[] {
  const message = distinct(2);
  const traces = schedules(message);
  digest.sha256([message]).fill(0);
  return timesInMemory(traces);
}

function schedules(message: Uint8Array): Uint8Array[] {
  const block = secretBytes(64);
  block.set(message);
  block[message.length] = 0x80;
  const view = new DataView(block.buffer, block.byteOffset, 64);
  view.setUint32(60, 8 * message.length);
  const plain = new Uint32Array(new ArrayBuffer(256));
  for (let t = 0; t < 16; t++) plain[t] = view.getUint32(4 * t);
  for (let t = 16; t < 64; t++) {
    const [two, fifteen] = [plain[t - 2]!, plain[t - 15]!];
    const late = right(two, 17) ^ right(two, 19) ^ (two >>> 10);
    const early = right(fifteen, 7) ^ right(fifteen, 18) ^ (fifteen >>> 3);
    plain[t] = late + plain[t - 7]! + early + plain[t - 16]!;
  }
  const constants = roundConstants();
  const added = plain.map((word, t) => word + constants[t]!);
  const fours = [48, 52, 56, 60];
  return [plain, added].flatMap((words) => fours.map((t) => new Uint8Array(words.buffer, 4 * t, 16)));
}

function right(word: number, by: number): number {
  return (word >>> by) | (word << (32 - by));
}

/** The first 32 bits of the fractions of the cube roots of the first 64 primes. */
function roundConstants(): number[] {
  const primes: number[] = [];
  for (let n = 2; primes.length < 64; n++) if (primes.every((prime) => n % prime !== 0)) primes.push(n);
  return primes.map((prime) => Math.floor((Math.cbrt(prime) % 1) * 2 ** 32));
}

/** Octets that lie nowhere else. */
function distinct(which: number): Uint8Array {
  const secret = secretBytes(32);
  for (let i = 0; i < secret.length; i++) secret[i] = 0xc0 ^ (7 * i + 101 * which);
  return secret;
}

function padded(key: Uint8Array): Uint8Array {
  const block = secretBytes(64).fill(0x36);
  for (let i = 0; i < key.length; i++) block[i]! ^= key[i]!;
  return block;
}
