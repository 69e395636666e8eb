import { addressOf, type ForeignFunction, foreignIfAny } from '../../ffi.js';
import { tagLength } from '../frame.js';
import type { Aead, AeadKey } from './aead.js';
import type { Arena } from './arena.js';
import type { Cipher } from './contract.js';

const getTag = 0x10;
const setTag = 0x11;

/** OpenSSL's EVP functions of the node binary itself. Addresses go as numbers: the cheapest argument there is. */
interface Evp {
  readonly newContext: ForeignFunction;
  readonly freeContext: ForeignFunction;
  readonly aes: ForeignFunction;
  readonly chacha: ForeignFunction;
  readonly init: ForeignFunction;
  readonly update: ForeignFunction;
  readonly final: ForeignFunction;
  readonly control: ForeignFunction;
}

function bindEvp(): Evp | undefined {
  const found = {
    newContext: foreignIfAny('uint64_t EVP_CIPHER_CTX_new()'),
    freeContext: foreignIfAny('void EVP_CIPHER_CTX_free(uint64_t context)'),
    aes: foreignIfAny('uint64_t EVP_aes_256_gcm()'),
    chacha: foreignIfAny('uint64_t EVP_chacha20_poly1305()'),
    init: foreignIfAny(
      'int EVP_CipherInit_ex(uint64_t context, uint64_t type, uint64_t engine, uint64_t key, uint64_t iv, int sealing)',
    ),
    update: foreignIfAny(
      'int EVP_CipherUpdate(uint64_t context, uint64_t out, uint64_t length, uint64_t in, int count)',
    ),
    final: foreignIfAny('int EVP_CipherFinal_ex(uint64_t context, uint64_t out, uint64_t length)'),
    control: foreignIfAny('int EVP_CIPHER_CTX_ctrl(uint64_t context, int type, int value, uint64_t pointer)'),
  };
  return Object.values(found).every((symbol) => symbol !== undefined) ? (found as Evp) : undefined;
}

/** AEAD by EVP into preallocated memory; undefined from `tryOpen` where the binary does not export the symbols. */
export class EvpAead implements Aead {
  readonly #evp: Evp;
  readonly #arena: Arena;
  /** 12 octets of nonce, 4 unused, the length OpenSSL writes back, 32 octets for a key while it is set. */
  readonly #small = new Uint8Array(64);

  static tryOpen(arena: Arena): EvpAead | undefined {
    const evp = bindEvp();
    return evp && new EvpAead(evp, arena);
  }

  private constructor(evp: Evp, arena: Arena) {
    this.#evp = evp;
    this.#arena = arena;
  }

  sealing(cipher: Cipher, key: Uint8Array): AeadKey {
    return new EvpKey(this.#evp, this.#arena.base, this.#small, cipher, key, 1);
  }

  opening(cipher: Cipher, key: Uint8Array): AeadKey {
    return new EvpKey(this.#evp, this.#arena.base, this.#small, cipher, key, 0);
  }
}

class EvpKey implements AeadKey {
  readonly #evp: Evp;
  readonly #base: number;
  readonly #small: DataView;
  readonly #nonce: number;
  readonly #written: number;
  #context: number;

  constructor(evp: Evp, base: number, small: Uint8Array, cipher: Cipher, key: Uint8Array, direction: 0 | 1) {
    this.#evp = evp;
    this.#base = base;
    this.#small = new DataView(small.buffer);
    this.#nonce = addressOf(small);
    this.#written = this.#nonce + 16;
    this.#context = Number(evp.newContext());
    small.set(key, 24);
    const type = cipher === 'aes-256-gcm' ? evp.aes() : evp.chacha();
    const done = evp.init(this.#context, type, 0, this.#nonce + 24, 0, direction);
    small.fill(0, 24);
    if (done !== 1) throw new Error(`EVP refuses ${cipher}`);
  }

  seal(counter: number, aad: number, aadLength: number, text: number, length: number, out: number): void {
    const { init, update, final, control } = this.#evp;
    const context = this.#context;
    const base = this.#base;
    const written = this.#written;
    this.#small.setUint32(8, counter);
    init(context, 0, 0, 0, this.#nonce, -1);
    update(context, 0, written, base + aad, aadLength);
    update(context, base + out, written, base + text, length);
    final(context, base + out + length, written);
    if (control(context, getTag, tagLength, base + out + length) !== 1) throw new Error('EVP cannot seal');
  }

  open(counter: number, aad: number, aadLength: number, text: number, length: number): boolean {
    const { init, update, final, control } = this.#evp;
    const context = this.#context;
    const at = this.#base + text;
    const written = this.#written;
    this.#small.setUint32(8, counter);
    init(context, 0, 0, 0, this.#nonce, -1);
    control(context, setTag, tagLength, at + length);
    update(context, 0, written, this.#base + aad, aadLength);
    if (length > 0) update(context, at, written, at, length);
    return final(context, at + length, written) === 1;
  }

  wipe(): void {
    if (this.#context !== 0) this.#evp.freeContext(this.#context); // OpenSSL cleanses the key schedule
    this.#context = 0;
  }
}
