import {
  createCipheriv,
  createDecipheriv,
  type KeyObject,
  sign as nodeSign,
  verify as nodeVerify,
  timingSafeEqual,
} from 'node:crypto';
import { createRequire } from 'node:module';
import type nacl from 'tweetnacl';
import { concatBytes, utf8 } from './bytes.js';
import { type Digest, EvpDigest, nodeDigest } from './digest.js';
import { privateObject, publicObject, publicOctets } from './key-objects.js';
import type { Random } from './random.js';
import { secretCopy } from './secret-bytes.js';
import { EvpX25519, type MakeX25519Key, nodeX25519, type X25519Key } from './x25519.js';

/**
 * The cryptography of the control plane. tweetnacl (the only import of it) makes the long-lived keys and is what the
 * tests compare with; node:crypto does what runs per handshake or per announcement
 * (docs/decisions/110-tweetnacl-and-node-crypto.md). So tweetnacl is loaded when a long-lived key is made, which most starts do not.
 *
 * All keys, hashes and secrets are raw octets in the order of RFC 7748 and RFC 8032 (little-endian numbers).
 */

const load = createRequire(import.meta.url);
const reference = () => load('tweetnacl') as typeof nacl;

/** Octets of a public or private key, a hash, a shared secret. */
const keyLength = 32;
export const signatureLength = 64;
export const aeadNonceLength = 12;
export const aeadTagLength = 16;

/** 32 octets. */
export type PublicKey = Uint8Array;

/** The faster there is of either, once it is wanted; both are without state between calls. */
const chosen: { digest?: Digest; x25519?: MakeX25519Key } = {};

function digest(): Digest {
  chosen.digest ??= EvpDigest.tryOpen() ?? nodeDigest;
  return chosen.digest;
}

function x25519(): MakeX25519Key {
  chosen.x25519 ??= EvpX25519.tryOpen()?.make ?? nodeX25519;
  return chosen.x25519;
}

/** The private half as octets and as the KeyObject OpenSSL works with; both gone after `wipe`. */
class Secret {
  readonly #octets: Uint8Array;
  #object: KeyObject | undefined;

  constructor(octets: Uint8Array, toObject: (octets: Uint8Array) => KeyObject) {
    if (octets.length !== keyLength) throw new RangeError('a private key has 32 octets');
    this.#octets = secretCopy(octets);
    this.#object = toObject(this.#octets);
  }

  get object(): KeyObject {
    if (!this.#object) throw new Error('key used after wipe');
    return this.#object;
  }

  copy(): Uint8Array {
    if (!this.#object) throw new Error('key used after wipe');
    return secretCopy(this.#octets);
  }

  wipe(): void {
    this.#octets.fill(0);
    this.#object = undefined;
  }
}

/** An X25519 key pair (RFC 7748): tunnels, end-to-end sessions, joining. */
export class AgreementKey {
  readonly #octets: Uint8Array;
  readonly #key: X25519Key;
  #isWiped = false;

  /** From 32 private octets, which are copied. `use`: how long it will be kept. */
  constructor(privateOctets: Uint8Array, use: 'kept' | 'passing' = 'kept') {
    if (privateOctets.length !== keyLength) throw new RangeError('a private key has 32 octets');
    this.#octets = secretCopy(privateOctets);
    this.#key = x25519()(this.#octets, use);
  }

  /** A key for one handshake. */
  static ephemeral(random: Random): AgreementKey {
    const octets = random.bytes(keyLength);
    const key = new AgreementKey(octets, 'passing');
    octets.fill(0);
    return key;
  }

  /** A long-lived key. Throws when two independent implementations do not derive the same public key. */
  static make(random: Random): AgreementKey {
    const octets = random.bytes(keyLength);
    const key = new AgreementKey(octets);
    const expected = reference().box.keyPair.fromSecretKey(octets);
    expected.secretKey.fill(0);
    octets.fill(0);
    if (!constantTimeEqual(expected.publicKey, key.publicKey)) throw new Error('X25519 implementations disagree');
    return key;
  }

  /** 32 octets, never written to. */
  get publicKey(): PublicKey {
    return this.#key.publicKey;
  }

  /** 32 octets, the caller's; undefined when the other key is of small order or malformed. */
  sharedSecret(other: PublicKey): Uint8Array | undefined {
    this.#mustLive();
    return other.length === keyLength ? this.#key.sharedSecret(other) : undefined;
  }

  /** A copy of the private octets, for storing; the caller wipes it. */
  exportPrivate(): Uint8Array {
    this.#mustLive();
    return secretCopy(this.#octets);
  }

  wipe(): void {
    if (this.#isWiped) return;
    this.#isWiped = true;
    this.#octets.fill(0);
    this.#key.wipe();
  }

  /** Keys never print themselves into a log. */
  toJSON(): string {
    return 'AgreementKey';
  }

  #mustLive(): void {
    if (this.#isWiped) throw new Error('key used after wipe');
  }
}

/** An Ed25519 key pair (RFC 8032). */
export class SigningKey {
  /** 32 octets, never written to. */
  readonly publicKey: PublicKey;
  readonly #secret: Secret;

  /** From the 32-octet seed (RFC 8032 §5.1.5), which is copied. */
  constructor(seed: Uint8Array) {
    this.#secret = new Secret(seed, (octets) => privateObject('Ed25519', octets));
    this.publicKey = publicOctets(this.#secret.object);
  }

  /** A long-lived key. Throws when two independent implementations do not derive the same public key. */
  static make(random: Random): SigningKey {
    const seed = random.bytes(keyLength);
    const key = new SigningKey(seed);
    const expected = reference().sign.keyPair.fromSeed(seed);
    expected.secretKey.fill(0);
    seed.fill(0);
    if (!constantTimeEqual(expected.publicKey, key.publicKey)) throw new Error('Ed25519 implementations disagree');
    return key;
  }

  /** 64 octets, the caller's. Sign only what `signed` made, so that no signature means two things. */
  sign(message: Uint8Array): Uint8Array {
    return new Uint8Array(nodeSign(null, message, this.#secret.object));
  }

  /** A copy of the seed, for storing; the caller wipes it. */
  exportPrivate(): Uint8Array {
    return this.#secret.copy();
  }

  wipe(): void {
    this.#secret.wipe();
  }

  toJSON(): string {
    return 'SigningKey';
  }
}

/** An Ed25519 public key made ready once, for signatures that keep coming from the same signer. */
export class VerifyingKey {
  readonly publicKey: PublicKey;
  readonly #object: KeyObject;

  private constructor(octets: PublicKey, object: KeyObject) {
    this.publicKey = new Uint8Array(octets);
    this.#object = object;
  }

  /** Undefined for a key that is malformed, non-canonical or of small order. */
  static from(octets: PublicKey): VerifyingKey | undefined {
    if (!isSigningPublicKey(octets)) return undefined;
    try {
      return new VerifyingKey(octets, publicObject('Ed25519', octets));
    } catch {
      return undefined; // not a point, for an OpenSSL that looks this early
    }
  }

  /** Refuses what RFC 8032 leaves open: S not below the group order, R non-canonical or of small order. */
  verify(message: Uint8Array, signature: Uint8Array): boolean {
    if (signature.length !== signatureLength) return false;
    if (!isSigningPublicKey(signature.subarray(0, 32)) || !isBelow(signature.subarray(32), groupOrder)) return false;
    return nodeVerify(null, message, this.#object, signature);
  }
}

/** One signature by one key; where a signer returns, keep its VerifyingKey. */
export function verify(publicKey: PublicKey, message: Uint8Array, signature: Uint8Array): boolean {
  return VerifyingKey.from(publicKey)?.verify(message, signature) ?? false;
}

function littleEndian(hex: string): Uint8Array {
  return new Uint8Array(Buffer.from(hex, 'hex'));
}

// RFC 8032 §5.1: p = 2^255 - 19 and L = 2^252 + 27742317777372353535851937790883648493.
const fieldPrime = littleEndian(`ed${'ff'.repeat(30)}7f`);
const groupOrder = littleEndian('edd3f55c1a631258d69cf7a2def9de1400000000000000000000000000000010');

const zero = '00'.repeat(32);
const one = `01${'00'.repeat(31)}`;
const minusOne = `ec${'ff'.repeat(30)}7f`;

/**
 * The y of the eight points of small order, sign of x left out (they come with either sign, or would be non-canonical).
 */
const smallOrderY = [
  zero,
  one,
  minusOne,
  '26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05',
  'c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a',
];
/** The u of the points of small order on Curve25519 and its twist (RFC 7748 §7: the shared secret would be zero). */
const smallOrderU = [
  zero,
  one,
  minusOne,
  'e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800',
  '5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157',
];

/** Compares 32-octet little-endian numbers; public values only, not constant in time. */
function isBelow(number: Uint8Array, bound: Uint8Array): boolean {
  for (let i = 31; i >= 0; i--) if (number[i] !== bound[i]) return number[i]! < bound[i]!;
  return false;
}

/** True for 32 octets that are no non-canonical and no small-order encoding; whether it is a point shows at verifying. */
export function isSigningPublicKey(octets: Uint8Array): boolean {
  if (octets.length !== keyLength) return false;
  const y = Buffer.from(octets);
  y[31]! &= 0x7f;
  return isBelow(y, fieldPrime) && !smallOrderY.includes(y.toString('hex'));
}

/**
 * True for an X25519 public key fit for a certificate: canonical (RFC 7748 §5 would mask and reduce) and not of small
 * order.
 */
export function isAgreementPublicKey(octets: Uint8Array): boolean {
  if (octets.length !== keyLength || !isBelow(octets, fieldPrime)) return false;
  return !smallOrderU.includes(Buffer.from(octets).toString('hex'));
}

/** What a signature can be about. A signature over one kind never verifies as another. */
export type SignatureLabel =
  | 'weft issuer certificate'
  | 'weft node certificate'
  | 'weft node revocation'
  | 'weft issuer revocation'
  | 'weft endpoint record'
  | 'weft join request'
  | 'weft second machine'
  | 'weft origin';

/**
 * What is really signed: label ‖ zero octet ‖ network id (32 octets) ‖ octets (docs/protocol/addr.md, Signed
 * statements).
 */
export function signed(label: SignatureLabel, networkId: Uint8Array, octets: Uint8Array): Uint8Array {
  if (networkId.length !== keyLength) throw new RangeError('a network id has 32 octets');
  return concatBytes(utf8(label), new Uint8Array(1), networkId, octets);
}

/** 32 octets of SHA-256 over the parts, one after the other; fit for a key, the caller's to wipe. */
export function sha256(...parts: readonly Uint8Array[]): Uint8Array {
  return digest().sha256(parts);
}

/** 32 octets of HMAC-SHA256 (RFC 2104) over the parts, one after the other; fit for a key, the caller's to wipe. */
export function hmacSha256(key: Uint8Array, ...parts: readonly Uint8Array[]): Uint8Array {
  return digest().hmac(key, parts);
}

/** RFC 8439 and NIST SP 800-38D; both with 32-octet keys, 12-octet nonces and 16-octet tags. */
export type AeadName = 'chacha20-poly1305' | 'aes-256-gcm';

const empty = new Uint8Array(0);

/** ciphertext ‖ tag, the caller's. A nonce must never repeat under one key. */
export function aeadSeal(
  name: AeadName,
  key: Uint8Array,
  nonce: Uint8Array,
  plaintext: Uint8Array,
  additional: Uint8Array = empty,
): Uint8Array {
  // Node types the two ciphers apart; both take the same calls.
  const cipher = createCipheriv(name as 'chacha20-poly1305', key, nonce, { authTagLength: aeadTagLength });
  cipher.setAAD(additional, { plaintextLength: plaintext.length });
  return concatBytes(cipher.update(plaintext), cipher.final(), cipher.getAuthTag());
}

/** The plaintext of ciphertext ‖ tag, the caller's, or undefined when anything was changed. */
export function aeadOpen(
  name: AeadName,
  key: Uint8Array,
  nonce: Uint8Array,
  sealed: Uint8Array,
  additional: Uint8Array = empty,
): Uint8Array | undefined {
  const length = sealed.length - aeadTagLength;
  if (length < 0) return undefined;
  const decipher = createDecipheriv(name as 'chacha20-poly1305', key, nonce, { authTagLength: aeadTagLength });
  decipher.setAAD(additional, { plaintextLength: length });
  decipher.setAuthTag(sealed.subarray(length));
  const plaintext = decipher.update(sealed.subarray(0, length));
  try {
    return concatBytes(plaintext, decipher.final());
  } catch {
    plaintext.fill(0);
    return undefined; // the tag does not fit
  }
}

/** Equality whose time tells nothing about where the octets differ; lengths are public. */
export function constantTimeEqual(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && timingSafeEqual(a, b);
}
