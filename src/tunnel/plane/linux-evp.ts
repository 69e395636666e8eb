import { type ForeignFunction, foreignIfAny } from '../../ffi.js';
import { relayHeaderLength, tagLength, transportHeaderLength } from '../frame.js';
import { type Aead, type AeadKey, aadLength, writeAad } from './aead.js';
import type { Arena } from './arena.js';
import type { Cipher } from './contract.js';
import { type Blocks, batchOctets, HeaderKey, quickWord } from './header-key.js';
import { StructMemory } from './linux-system.js';

const getTag = 0x10;
const setTag = 0x11;
const setFixedNonce = 0x12;
const octetString = 5;
/** The nonce's explicit part lies in the frame itself: the header's counter, right before the ciphertext. */
const explicitNonce = 8;
const blockOctets = 16;

/** OpenSSL's EVP functions of the node binary itself. Addresses go as numbers: the cheapest argument there is. */
interface Evp {
  readonly newContext: ForeignFunction;
  readonly freeContext: ForeignFunction;
  readonly aes: ForeignFunction;
  readonly chacha: ForeignFunction;
  readonly aesBlocks: ForeignFunction;
  readonly setPadding: ForeignFunction;
  readonly init: ForeignFunction;
  readonly update: ForeignFunction;
  readonly final: ForeignFunction;
  readonly control: ForeignFunction;
  readonly setParameters: ForeignFunction;
  readonly cipher: ForeignFunction;
}

function bindEvp(bind: typeof foreignIfAny): Evp | undefined {
  const found = {
    newContext: bind('uint64_t EVP_CIPHER_CTX_new()'),
    freeContext: bind('void EVP_CIPHER_CTX_free(uint64_t context)'),
    aes: bind('uint64_t EVP_aes_256_gcm()'),
    chacha: bind('uint64_t EVP_chacha20_poly1305()'),
    aesBlocks: bind('uint64_t EVP_aes_256_ecb()'),
    setPadding: bind('int EVP_CIPHER_CTX_set_padding(uint64_t context, int padding)'),
    init: bind(
      'int EVP_CipherInit_ex(uint64_t context, uint64_t type, uint64_t engine, uint64_t key, uint64_t iv, int sealing)',
    ),
    update: bind('int EVP_CipherUpdate(uint64_t context, uint64_t out, uint64_t length, uint64_t in, int count)'),
    final: bind('int EVP_CipherFinal_ex(uint64_t context, uint64_t out, uint64_t length)'),
    control: bind('int EVP_CIPHER_CTX_ctrl(uint64_t context, int type, int value, uint64_t pointer)'),
    setParameters: bind('int EVP_CIPHER_CTX_set_params(uint64_t context, uint64_t parameters)'),
    cipher: bind('int EVP_Cipher(uint64_t context, uint64_t out, uint64_t in, uint32_t count)'),
  };
  return Object.values(found).every((symbol) => symbol !== undefined) ? (found as Evp) : undefined;
}

/**
 * Memory that all keys of a thread share, so that nothing is made per frame:
 *
 *   0 nonce (12) │ 16 length OpenSSL writes back │ 24 key while it is set (32) │ 64 AAD │ 80 "tlsaad" │ 96 OSSL_PARAM[2]
 */
const aadAt = 64;
const nameAt = 80;
const parametersAt = 96;

function makeMemory(): StructMemory {
  const memory = new StructMemory(96 + 80);
  memory.bytes.set(new TextEncoder().encode('tlsaad'), nameAt);
  memory.setPointer(parametersAt, memory.address + nameAt);
  memory.setInt(parametersAt + 8, octetString);
  memory.setPointer(parametersAt + 16, memory.address + aadAt);
  memory.setInt(parametersAt + 24, aadLength);
  return memory;
}

/** AEAD by EVP into preallocated memory; undefined from `tryOpen` where the binary does not export the symbols. */
export class EvpAead implements Aead {
  readonly #evp: Evp;
  readonly #arena: Arena;
  readonly #memory = makeMemory();
  readonly #blocks = new StructMemory(batchOctets);

  /** `bind`: how a function is found, for tests. */
  static tryOpen(arena: Arena, bind = foreignIfAny): EvpAead | undefined {
    const evp = bindEvp(bind);
    return evp && new EvpAead(evp, arena);
  }

  private constructor(evp: Evp, arena: Arena) {
    this.#evp = evp;
    this.#arena = arena;
  }

  sealing(cipher: Cipher, key: Uint8Array): AeadKey {
    return this.#make(cipher, key, 1);
  }

  opening(cipher: Cipher, key: Uint8Array): AeadKey {
    return this.#make(cipher, key, 0);
  }

  #make(cipher: Cipher, key: Uint8Array, direction: 0 | 1): AeadKey {
    const evp = this.#evp;
    const memory = this.#memory;
    const context = Number(evp.newContext());
    memory.bytes.set(key, 24);
    const type = cipher === 'aes-256-gcm' ? evp.aes() : evp.chacha();
    const done = evp.init(context, type, 0, memory.address + 24, 0, direction);
    const blocks = cipher === 'aes-256-gcm' ? this.#makeBlocks() : 0;
    memory.bytes.fill(0, 24, 56);
    if (done !== 1) throw new Error(`EVP refuses ${cipher}`);
    return cipher === 'aes-256-gcm'
      ? new RecordKey(evp, this.#arena, memory, context, () => new EvpBlocks(evp, blocks, this.#blocks, memory), blocks)
      : new StepKey(evp, this.#arena, memory, context);
  }

  /** A context of the bare block cipher under the key that lies in the memory. */
  #makeBlocks(): number {
    const evp = this.#evp;
    const context = Number(evp.newContext());
    const done = evp.init(context, evp.aesBlocks(), 0, this.#memory.address + 24, 0, 1);
    if (done !== 1 || evp.setPadding(context, 0) !== 1) throw new Error('EVP refuses AES');
    return context;
  }
}

/** AES-256 block by block, for the headers of relayed frames. */
class EvpBlocks implements Blocks {
  readonly input: DataView;
  readonly output: Int32Array;
  readonly #evp: Evp;
  readonly #context: number;
  readonly #from: StructMemory;
  readonly #to = new StructMemory(batchOctets);
  readonly #written: number;

  constructor(evp: Evp, context: number, from: StructMemory, memory: StructMemory) {
    this.#evp = evp;
    this.#context = context;
    this.#from = from;
    this.input = from.view;
    this.output = new Int32Array(this.#to.bytes.buffer);
    this.#written = memory.address + 16;
  }

  encrypt(count: number): void {
    const { update } = this.#evp;
    const done = update(this.#context, this.#to.address, this.#written, this.#from.address, blockOctets * count);
    if (done !== 1) throw new Error('EVP cannot encrypt');
  }
}

/**
 * AES-GCM in two calls a frame: OpenSSL's mode for TLS records takes the AAD as a parameter and does nonce, sealing and
 * tag at once, on a buffer that begins with the explicit nonce. Five calls of the general interface cost half a
 * microsecond more.
 */
class RecordKey implements AeadKey {
  readonly #setParameters: ForeignFunction;
  readonly #cipher: ForeignFunction;
  readonly #evp: Evp;
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  readonly #arena: Arena;
  readonly #memory: StructMemory;
  readonly #parameters: number;
  #context: number;
  /** The bare block cipher, and what seals headers by it once there is one to seal. */
  readonly #makeBlocks: () => Blocks;
  #blockContext: number;
  #headers: HeaderKey | undefined;
  /** OpenSSL counts nonces itself while it seals; this is the one it would use next. */
  #next = 0;
  /** What was authenticated with the last frame, beside its text. */
  #word = 0;
  #destination = 0;
  #source = 0;
  #length = 0;
  /** OpenSSL has been told of it once more, and waits for a frame. */
  #isPrimed = false;

  constructor(
    evp: Evp,
    arena: Arena,
    memory: StructMemory,
    context: number,
    makeBlocks: () => Blocks,
    blockContext: number,
  ) {
    this.#evp = evp;
    this.#makeBlocks = makeBlocks;
    this.#blockContext = blockContext;
    this.#setParameters = evp.setParameters;
    this.#cipher = evp.cipher;
    this.#bytes = arena.bytes;
    this.#view = arena.view;
    this.#arena = arena;
    this.#memory = memory;
    this.#parameters = memory.address + parametersAt;
    this.#context = context;
    this.#setNonce(0);
  }

  seal(at: number, counter: number, text: number, length: number, destination: number, source: number): void {
    if (this.#isQuick(at, length, destination, source)) return this.#headerKey().seal(at, counter, text);
    if (counter !== this.#next) this.#setNonce(counter);
    this.#next = counter + 1;
    const out = at + transportHeaderLength;
    this.#bytes.copyWithin(out, text, text + length);
    const sealed = explicitNonce + length + tagLength;
    this.#authenticate(this.#view.getInt32(at), destination, source, explicitNonce + length);
    const frame = this.#arena.address(at + explicitNonce);
    if (this.#cipher(this.#context, frame, frame, sealed) !== sealed) throw new Error('EVP cannot seal');
  }

  open(at: number, length: number, destination: number, source: number): boolean {
    if (this.#isQuick(at, length, destination, source)) return this.#headerKey().open(at);
    const sealed = explicitNonce + length + tagLength;
    this.#authenticate(this.#view.getInt32(at), destination, source, sealed);
    const frame = this.#arena.address(at + explicitNonce);
    return this.#cipher(this.#context, frame, frame, sealed) > 0;
  }

  wipe(): void {
    for (const context of [this.#context, this.#blockContext]) {
      if (context !== 0) this.#evp.freeContext(context); // OpenSSL cleanses the key schedule
    }
    this.#context = 0;
    this.#blockContext = 0;
    this.#headers?.wipe();
  }

  prime(): void {
    if (this.#context === 0 || this.#length === 0 || this.#isPrimed) return;
    this.#setAad();
    this.#isPrimed = true;
  }

  /** Tells OpenSSL what the frame that comes next is authenticated with, unless it has been told. It forgets with each frame. */
  #authenticate(word: number, destination: number, source: number, length: number): void {
    const isAsBefore =
      word === this.#word && length === this.#length && destination === this.#destination && source === this.#source;
    const isTold = this.#isPrimed && isAsBefore;
    this.#isPrimed = false;
    if (isTold) return;
    this.#word = word;
    this.#destination = destination;
    this.#source = source;
    this.#length = length;
    this.#setAad();
  }

  #setAad(): void {
    writeAad(this.#memory.view, aadAt, this.#word, this.#destination, this.#source, this.#length);
    this.#setParameters(this.#context, this.#parameters);
  }

  /** A relay header of an uncut frame, as each relayed packet has one. */
  #isQuick(at: number, length: number, destination: number, source: number): boolean {
    const view = this.#view;
    if (length !== relayHeaderLength || (destination | source) !== 0) return false;
    return view.getInt32(at) === quickWord && view.getInt32(at + 8) === 0;
  }

  #headerKey(): HeaderKey {
    this.#headers ??= new HeaderKey(this.#view, this.#makeBlocks());
    return this.#headers;
  }

  #setNonce(counter: number): void {
    this.#memory.bytes.fill(0, 0, 12);
    this.#memory.view.setUint32(8, counter);
    // Length -1: the whole nonce as given, counted up with each frame sealed.
    if (this.#evp.control(this.#context, setFixedNonce, -1, this.#memory.address) !== 1) {
      throw new Error('EVP refuses the nonce');
    }
    this.#next = counter;
  }
}

/** The general interface: five calls a frame. For ChaCha20-Poly1305, whose record mode makes another nonce than ours. */
class StepKey implements AeadKey {
  readonly #evp: Evp;
  readonly #arena: Arena;
  readonly #memory: StructMemory;
  #context: number;
  /** Addresses, made once: none is a small integer. */
  readonly #nonce: number;
  readonly #written: number;
  readonly #aad: number;

  constructor(evp: Evp, arena: Arena, memory: StructMemory, context: number) {
    this.#evp = evp;
    this.#arena = arena;
    this.#memory = memory;
    this.#context = context;
    this.#nonce = memory.address;
    this.#written = memory.address + 16;
    this.#aad = memory.address + aadAt;
  }

  seal(at: number, _counter: number, text: number, length: number, destination: number, source: number): void {
    const { update, final, control } = this.#evp;
    const out = this.#arena.address(at + transportHeaderLength);
    this.#begin(at, length, destination, source);
    const tag = this.#arena.address(at + transportHeaderLength + length);
    update(this.#context, out, this.#written, this.#arena.address(text), length);
    final(this.#context, tag, this.#written);
    if (control(this.#context, getTag, tagLength, tag) !== 1) throw new Error('EVP cannot seal');
  }

  open(at: number, length: number, destination: number, source: number): boolean {
    const { update, final, control } = this.#evp;
    const address = this.#arena.address(at + transportHeaderLength);
    this.#begin(at, length, destination, source);
    const tag = this.#arena.address(at + transportHeaderLength + length);
    control(this.#context, setTag, tagLength, tag);
    if (length > 0) update(this.#context, address, this.#written, address, length);
    return final(this.#context, tag, this.#written) === 1;
  }

  prime(): void {}

  wipe(): void {
    if (this.#context !== 0) this.#evp.freeContext(this.#context);
    this.#context = 0;
  }

  #begin(at: number, length: number, destination: number, source: number): void {
    const { view } = this.#arena;
    const memory = this.#memory;
    memory.view.setInt32(0, 0);
    memory.view.setInt32(4, view.getInt32(at + 8));
    memory.view.setInt32(8, view.getInt32(at + 12));
    writeAad(memory.view, aadAt, view.getInt32(at), destination, source, length);
    this.#evp.init(this.#context, 0, 0, 0, this.#nonce, -1);
    this.#evp.update(this.#context, 0, this.#written, this.#aad, aadLength);
  }
}
