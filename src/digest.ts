import { createHash, createHmac } from 'node:crypto';
import { addressOf, type ForeignFunction, foreignIfAny, foreignThatClears } from './ffi.js';
import { secretBytes, takeSecret } from './secret-bytes.js';

/** SHA-256 (FIPS 180-4) and HMAC over it (RFC 2104), of parts one after the other. Results are the caller's to wipe. */
export interface Digest {
  sha256(parts: readonly Uint8Array[]): Uint8Array;
  hmac(key: Uint8Array, parts: readonly Uint8Array[]): Uint8Array;
}

const block = 64;
const digestLength = 32;

/** By node:crypto: everywhere, for whatever length, and three objects a call, which take seven times as long as the hash. */
export const nodeDigest: Digest = {
  sha256(parts) {
    const hash = createHash('sha256');
    for (const part of parts) hash.update(part);
    return takeSecret(hash.digest());
  },
  hmac(key, parts) {
    const mac = createHmac('sha256', key);
    for (const part of parts) mac.update(part);
    return takeSecret(mac.digest());
  },
};

/**
 * By OpenSSL's EVP_Digest, which the node binary exports, in memory made once and zeroed after each call. What does not fit
 * into it goes through node:crypto.
 *
 *   0 key ^ ipad (64) │ 64 message (1280) │ 1344 key ^ opad (64) │ 1408 inner hash (32) │ 1440 result (32)
 */
const messageAt = block;
/** The longest handshake and what is hashed of the longest statement. */
const capacity = 1280;
const outerAt = messageAt + capacity;
const innerAt = outerAt + block;
const resultAt = innerAt + digestLength;

export class EvpDigest implements Digest {
  readonly #digest: ForeignFunction;
  /** Of the algorithm, fetched once: by its name it takes as long again. */
  readonly #algorithm: number;
  /** Some processors' code leaves the message on the stack, from which public constants are all that hides it. */
  readonly #forget: () => void;
  readonly #memory = secretBytes(resultAt + digestLength);
  readonly #address = addressOf(this.#memory);

  /** Undefined where the binary does not export the symbols. */
  static tryOpen(): EvpDigest | undefined {
    const digest = foreignIfAny(
      'int EVP_Digest(uint64_t data, uint64_t count, uint64_t out, uint64_t length, uint64_t type, uint64_t engine)',
    );
    const fetchAlgorithm = foreignIfAny(
      'uint64_t EVP_MD_fetch(uint64_t library, const char *name, uint64_t properties)',
    );
    const algorithm = digest && fetchAlgorithm ? Number(fetchAlgorithm(0, 'SHA256', 0)) : 0;
    const forget = foreignThatClears('ERR_clear_error');
    return digest && algorithm !== 0 && forget ? new EvpDigest(digest, algorithm, forget) : undefined;
  }

  private constructor(digest: ForeignFunction, algorithm: number, forget: () => void) {
    this.#digest = digest;
    this.#algorithm = algorithm;
    this.#forget = forget;
  }

  sha256(parts: readonly Uint8Array[]): Uint8Array {
    const end = this.#write(parts);
    if (end < 0) return nodeDigest.sha256(parts);
    try {
      this.#hash(messageAt, end, resultAt);
      return this.#result();
    } finally {
      this.#memory.fill(0, messageAt, end);
      this.#forget(); // of an HMAC the outer hash goes over what the inner left
    }
  }

  hmac(key: Uint8Array, parts: readonly Uint8Array[]): Uint8Array {
    const end = key.length > block ? -1 : this.#write(parts);
    if (end < 0) return nodeDigest.hmac(key, parts);
    const memory = this.#memory;
    for (let i = 0; i < block; i++) {
      const octet = i < key.length ? key[i]! : 0;
      memory[i] = octet ^ 0x36;
      memory[outerAt + i] = octet ^ 0x5c;
    }
    try {
      this.#hash(0, end, innerAt);
      this.#hash(outerAt, resultAt, resultAt);
      return this.#result();
    } finally {
      memory.fill(0, 0, end);
      memory.fill(0, outerAt, resultAt);
    }
  }

  /** Where the message ends, or -1 when it does not fit; then nothing is written. */
  #write(parts: readonly Uint8Array[]): number {
    let end = messageAt;
    for (const part of parts) end += part.length;
    if (end > outerAt) return -1;
    let at = messageAt;
    for (const part of parts) {
      this.#memory.set(part, at);
      at += part.length;
    }
    return end;
  }

  #hash(from: number, to: number, out: number): void {
    const done = this.#digest(this.#address + from, to - from, this.#address + out, 0, this.#algorithm, 0);
    if (done !== 1) throw new Error('EVP cannot hash');
  }

  #result(): Uint8Array {
    return takeSecret(this.#memory.subarray(resultAt));
  }
}
