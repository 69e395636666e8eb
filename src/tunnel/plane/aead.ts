import {
  type CipherGCM,
  type CipherGCMTypes,
  createCipheriv,
  createDecipheriv,
  type DecipherGCM,
  hkdfSync,
} from 'node:crypto';
import { tagLength } from '../frame.js';
import type { Arena } from './arena.js';
import type { Cipher } from './contract.js';

/** One direction of one lane: a key schedule that seals or opens in the arena. Offsets are into the arena. */
export interface AeadKey {
  /**
   * Seals `length` octets at `text` to `out`, and the tag right behind. Either `out` is `text`, or the two do not overlap.
   * The nonce is 4 zero octets and the counter (PROTOCOL.md §2).
   */
  seal(counter: number, aad: number, aadLength: number, text: number, length: number, out: number): void;
  /** Opens in place `length` octets with their tag right behind. False: not authentic, and the octets are spoilt. */
  open(counter: number, aad: number, aadLength: number, text: number, length: number): boolean;
  /** Forgets the key; not usable any more. */
  wipe(): void;
}

/** Makes key schedules over one arena. The key's octets are copied; the caller wipes its own. */
export interface Aead {
  sealing(cipher: Cipher, key: Uint8Array): AeadKey;
  opening(cipher: Cipher, key: Uint8Array): AeadKey;
}

/** The 32 octets of lane n's key: HKDF-SHA256(session key, info "lane" ‖ n). The caller wipes them. */
export function laneKey(sessionKey: Uint8Array, lane: number): Uint8Array {
  const info = Uint8Array.of(0x6c, 0x61, 0x6e, 0x65, lane);
  return new Uint8Array(hkdfSync('sha256', sessionKey, new Uint8Array(0), info, 32));
}

/** AEAD by node:crypto: everywhere, tested against the other, and six times slower. */
export class NodeAead implements Aead {
  readonly #arena: Arena;

  constructor(arena: Arena) {
    this.#arena = arena;
  }

  sealing(cipher: Cipher, key: Uint8Array): AeadKey {
    return new NodeAeadKey(this.#arena, cipher, key);
  }

  opening(cipher: Cipher, key: Uint8Array): AeadKey {
    return new NodeAeadKey(this.#arena, cipher, key);
  }
}

class NodeAeadKey implements AeadKey {
  readonly #arena: Arena;
  readonly #cipher: CipherGCMTypes;
  readonly #key: Uint8Array;
  readonly #nonce = new Uint8Array(12);
  readonly #nonceView = new DataView(this.#nonce.buffer);

  constructor(arena: Arena, cipher: Cipher, key: Uint8Array) {
    this.#arena = arena;
    // The typings know ChaCha20-Poly1305 only in an overload of its own; the calls are the same.
    this.#cipher = cipher as CipherGCMTypes;
    this.#key = new Uint8Array(key);
  }

  seal(counter: number, aad: number, aadLength: number, text: number, length: number, out: number): void {
    const bytes = this.#arena.bytes;
    this.#nonceView.setUint32(8, counter);
    const cipher: CipherGCM = createCipheriv(this.#cipher, this.#key, this.#nonce, { authTagLength: tagLength });
    cipher.setAAD(bytes.subarray(aad, aad + aadLength));
    bytes.set(cipher.update(bytes.subarray(text, text + length)), out);
    cipher.final();
    bytes.set(cipher.getAuthTag(), out + length);
  }

  open(counter: number, aad: number, aadLength: number, text: number, length: number): boolean {
    const bytes = this.#arena.bytes;
    this.#nonceView.setUint32(8, counter);
    const cipher: DecipherGCM = createDecipheriv(this.#cipher, this.#key, this.#nonce, { authTagLength: tagLength });
    cipher.setAAD(bytes.subarray(aad, aad + aadLength));
    cipher.setAuthTag(bytes.subarray(text + length, text + length + tagLength));
    const plain = cipher.update(bytes.subarray(text, text + length));
    try {
      cipher.final();
    } catch {
      return false; // node says "not authentic" by throwing
    }
    bytes.set(plain, text);
    return true;
  }

  wipe(): void {
    this.#key.fill(0);
  }
}
