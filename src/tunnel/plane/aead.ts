import { type CipherGCM, type CipherGCMTypes, createCipheriv, createDecipheriv, type DecipherGCM } from 'node:crypto';
import { utf8 } from '../../bytes.js';
import { hmacSha256 } from '../../crypto.js';
import { secretCopy } from '../../secret-bytes.js';
import { tagLength, transportHeaderLength } from '../frame.js';
import type { Arena } from './arena.js';
import type { Cipher } from './contract.js';

/**
 * What is authenticated beside the ciphertext, 13 octets: the header's first word, the ends of an end-to-end frame
 * (zero on a tunnel), and the plaintext's length. The receiver index is bound by the key, which belongs to one lane,
 * and the counter by the nonce. It is the shape for which OpenSSL opens and seals AES-GCM in one call (RFC 5288's
 * records).
 *
 *   type u8 │ flags u8 │ zero u16 │ destination u24 │ source u24 │ zero u8 │ length u16
 */
export const aadLength = 13;

/** Writes those 13 octets at `at`; `word` is the header's first word. */
export function writeAad(
  view: DataView,
  at: number,
  word: number,
  destination: number,
  source: number,
  length: number,
): void {
  view.setInt32(at, word);
  view.setUint16(at + 4, destination >>> 8);
  view.setUint32(at + 6, ((destination & 0xff) << 24) | source);
  view.setUint8(at + 10, 0);
  view.setUint16(at + 11, length);
}

/**
 * One direction of one lane: a key schedule that works in the arena on whole frames. `at` is the transport header's
 * offset; the nonce is 4 zero octets and the header's counter (PROTOCOL.md §2).
 */
export interface AeadKey {
  /**
   * Takes `length` octets at `text` (elsewhere in the arena) and puts them sealed behind the header, their tag behind
   * them. `counter` is the one in the header. `destination` and `source` are zero but for end-to-end frames.
   */
  seal(at: number, counter: number, text: number, length: number, destination: number, source: number): void;
  /** Opens in place `length` octets behind the header, their tag behind them. False: not authentic, and spoilt. */
  open(at: number, length: number, destination: number, source: number): boolean;
  /**
   * Does now what can be done for the next frame, should it have the length, flags and ends of the last one: while nothing waits, for
   * a packet that comes alone and for which all memory is cold.
   */
  prime(): void;
  /** Forgets the key; not usable any more. */
  wipe(): void;
}

/** Makes key schedules over one arena. The key's octets are copied; the caller wipes its own. */
export interface Aead {
  sealing(cipher: Cipher, key: Uint8Array): AeadKey;
  opening(cipher: Cipher, key: Uint8Array): AeadKey;
}

const noSalt = new Uint8Array(32);

/**
 * The 32 octets of lane n's key: HKDF-SHA256(session key, info "lane" ‖ n) (RFC 5869, of one block). The caller wipes them.
 * By hand, for node's own keeps the session key until the collector comes, and to a worker that allocates nothing it may never come.
 */
export function laneKey(sessionKey: Uint8Array, lane: number): Uint8Array {
  const extracted = hmacSha256(noSalt, sessionKey);
  const key = hmacSha256(extracted, utf8('lane'), Uint8Array.of(lane, 1));
  extracted.fill(0);
  return key;
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
  readonly #aad = new Uint8Array(aadLength);
  readonly #aadView = new DataView(this.#aad.buffer);

  constructor(arena: Arena, cipher: Cipher, key: Uint8Array) {
    this.#arena = arena;
    // The typings know ChaCha20-Poly1305 only in an overload of its own; the calls are the same.
    this.#cipher = cipher as CipherGCMTypes;
    this.#key = secretCopy(key);
  }

  seal(at: number, _counter: number, text: number, length: number, destination: number, source: number): void {
    const bytes = this.#arena.bytes;
    this.#prepare(at, length, destination, source);
    const cipher: CipherGCM = createCipheriv(this.#cipher, this.#key, this.#nonce, { authTagLength: tagLength });
    cipher.setAAD(this.#aad);
    const out = at + transportHeaderLength;
    bytes.set(cipher.update(bytes.subarray(text, text + length)), out);
    cipher.final();
    bytes.set(cipher.getAuthTag(), out + length);
  }

  open(at: number, length: number, destination: number, source: number): boolean {
    const bytes = this.#arena.bytes;
    this.#prepare(at, length, destination, source);
    const cipher: DecipherGCM = createDecipheriv(this.#cipher, this.#key, this.#nonce, { authTagLength: tagLength });
    const text = at + transportHeaderLength;
    cipher.setAAD(this.#aad);
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

  prime(): void {}

  wipe(): void {
    this.#key.fill(0);
  }

  #prepare(at: number, length: number, destination: number, source: number): void {
    const { bytes, view } = this.#arena;
    this.#nonce.set(bytes.subarray(at + 8, at + 16), 4);
    writeAad(this.#aadView, 0, view.getInt32(at), destination, source, length);
  }
}
