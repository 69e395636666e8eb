import { diffieHellman, type KeyObject } from 'node:crypto';
import { equalBytes } from './bytes.js';
import { addressOf, type ForeignFunction, foreignIfAny, foreignThatClears } from './ffi.js';
import { passingPrivateObject, privateObject, publicObject, publicOctets } from './key-objects.js';
import { secretBytes, takeSecret } from './secret-bytes.js';

/** A private key of X25519 (RFC 7748) inside OpenSSL. */
export interface X25519Key {
  /** 32 octets, never written to. */
  readonly publicKey: Uint8Array;
  /** Of 32 octets 32 octets, the caller's to wipe; undefined when the result would be all zero, as of small orders. */
  sharedSecret(other: Uint8Array): Uint8Array | undefined;
  /** Call it once, last. */
  wipe(): void;
}

/** From 32 private octets, which are read now and not kept. `use`: for how long. */
export type MakeX25519Key = (octets: Uint8Array, use: 'kept' | 'passing') => X25519Key;

const keyLength = 32;

/** By node:crypto: everywhere. What OpenSSL has of the key it clears when the collector comes. */
export const nodeX25519: MakeX25519Key = (octets, use) =>
  new NodeKey(use === 'kept' ? privateObject('X25519', octets) : passingPrivateObject('X25519', octets));

/** The two made last, of public values only: a handshake agrees with each of the other side's two keys twice. */
const agreedWith: { readonly octets: Uint8Array; readonly object: KeyObject }[] = [];

function agreementObject(octets: Uint8Array): KeyObject {
  const made = agreedWith.find((one) => equalBytes(one.octets, octets));
  if (made) return made.object;
  const object = publicObject('X25519', octets);
  agreedWith.unshift({ octets: new Uint8Array(octets), object });
  agreedWith.length = Math.min(2, agreedWith.length);
  return object;
}

class NodeKey implements X25519Key {
  readonly publicKey: Uint8Array;
  #privateKey: KeyObject | undefined;

  constructor(privateKey: KeyObject) {
    this.#privateKey = privateKey;
    this.publicKey = publicOctets(privateKey);
  }

  sharedSecret(other: Uint8Array): Uint8Array | undefined {
    try {
      const shared = diffieHellman({ privateKey: this.#privateKey!, publicKey: agreementObject(other) });
      return shared.every((octet) => octet === 0) ? undefined : takeSecret(shared);
    } catch {
      return undefined; // OpenSSL refuses small orders by throwing
    }
  }

  wipe(): void {
    this.#privateKey = undefined;
  }
}

interface Evp {
  readonly privateKey: ForeignFunction;
  readonly publicKey: ForeignFunction;
  readonly publicOctets: ForeignFunction;
  readonly freeKey: ForeignFunction;
  readonly newContext: ForeignFunction;
  readonly freeContext: ForeignFunction;
  readonly begin: ForeignFunction;
  readonly setPeer: ForeignFunction;
  readonly derive: ForeignFunction;
  /** Forgets OpenSSL's errors, which node:crypto is not to find, and what its functions left on their stack. */
  readonly forget: () => void;
}

function bindEvp(): Evp | undefined {
  const found = {
    privateKey: foreignIfAny(
      'uint64_t EVP_PKEY_new_raw_private_key(int type, uint64_t engine, uint64_t key, uint64_t length)',
    ),
    publicKey: foreignIfAny(
      'uint64_t EVP_PKEY_new_raw_public_key(int type, uint64_t engine, uint64_t key, uint64_t length)',
    ),
    publicOctets: foreignIfAny('int EVP_PKEY_get_raw_public_key(uint64_t key, uint64_t out, uint64_t length)'),
    freeKey: foreignIfAny('void EVP_PKEY_free(uint64_t key)'),
    newContext: foreignIfAny('uint64_t EVP_PKEY_CTX_new(uint64_t key, uint64_t engine)'),
    freeContext: foreignIfAny('void EVP_PKEY_CTX_free(uint64_t context)'),
    begin: foreignIfAny('int EVP_PKEY_derive_init(uint64_t context)'),
    setPeer: foreignIfAny('int EVP_PKEY_derive_set_peer_ex(uint64_t context, uint64_t peer, int validate)'),
    derive: foreignIfAny('int EVP_PKEY_derive(uint64_t context, uint64_t out, uint64_t length)'),
    forget: foreignThatClears('ERR_clear_error'),
  };
  return Object.values(found).every((symbol) => symbol !== undefined) ? (found as Evp) : undefined;
}

const x25519Type = 1034; // EVP_PKEY_X25519

/** Memory made once: 0 a key that goes in (32) │ 32 what comes out (32) │ 64 its length (8). */
const outAt = 32;
const lengthAt = 64;

/**
 * By OpenSSL's EVP functions, which the node binary exports. Octets go in and out as they are, and OpenSSL clears a key when it is
 * wiped, not when the collector comes.
 */
export class EvpX25519 {
  readonly #evp: Evp;
  readonly #memory = secretBytes(lengthAt + 8);
  readonly #length = new DataView(this.#memory.buffer, lengthAt);
  readonly #address = addressOf(this.#memory);
  /** Contexts of keys that nobody wiped. */
  readonly #lost: FinalizationRegistry<number>;

  /** Undefined where the binary does not export the symbols. */
  static tryOpen(): EvpX25519 | undefined {
    const evp = bindEvp();
    return evp && new EvpX25519(evp);
  }

  private constructor(evp: Evp) {
    this.#evp = evp;
    this.#lost = new FinalizationRegistry((context) => evp.freeContext(context));
  }

  readonly make: MakeX25519Key = (octets) => {
    if (octets.length !== keyLength) throw new Error('a private key of X25519 has 32 octets');
    const evp = this.#evp;
    this.#memory.set(octets);
    const key = Number(evp.privateKey(x25519Type, 0, this.#address, keyLength));
    this.#memory.fill(0, 0, keyLength);
    const context = key === 0 ? 0 : Number(evp.newContext(key, 0));
    this.#expect(keyLength);
    const isDone =
      context !== 0 &&
      evp.begin(context) === 1 &&
      evp.publicOctets(key, this.#address + outAt, this.#address + lengthAt) === 1;
    evp.freeKey(key); // the context holds it
    if (!isDone) evp.freeContext(context);
    evp.forget();
    if (!isDone) throw new Error('EVP refuses a key');
    const made = new EvpKey(this, context, new Uint8Array(this.#memory.subarray(outAt, lengthAt)));
    this.#lost.register(made, context, made);
    return made;
  };

  agree(context: number, other: Uint8Array): Uint8Array | undefined {
    if (other.length !== keyLength) return undefined;
    const evp = this.#evp;
    this.#memory.set(other);
    const peer = Number(evp.publicKey(x25519Type, 0, this.#address, keyLength));
    this.#expect(keyLength);
    const isDone =
      peer !== 0 &&
      evp.setPeer(context, peer, 0) === 1 &&
      evp.derive(context, this.#address + outAt, this.#address + lengthAt) === 1;
    evp.freeKey(peer);
    evp.forget(); // small orders are errors, and OpenSSL leaves the result on the stack
    const shared = takeSecret(this.#memory.subarray(outAt, lengthAt));
    return isDone && shared.some((octet) => octet !== 0) ? shared : undefined;
  }

  free(key: X25519Key, context: number): void {
    this.#lost.unregister(key);
    this.#evp.freeContext(context);
  }

  #expect(length: number): void {
    this.#length.setUint32(0, length, true);
    this.#length.setUint32(4, 0);
  }
}

class EvpKey implements X25519Key {
  readonly publicKey: Uint8Array;
  readonly #of: EvpX25519;
  #context: number;

  constructor(of: EvpX25519, context: number, publicKey: Uint8Array) {
    this.#of = of;
    this.#context = context;
    this.publicKey = publicKey;
  }

  sharedSecret(other: Uint8Array): Uint8Array | undefined {
    return this.#of.agree(this.#context, other);
  }

  wipe(): void {
    this.#of.free(this, this.#context);
    this.#context = 0;
  }
}
