import { secretBytes } from '../../secret-bytes.js';
import { FrameType, relayHeaderLength, transportHeaderLength } from '../frame.js';
import { aadLength } from './aead.js';

/** The first word of the header of a relayed frame that is not cut: only such take the quick way. */
export const quickWord = FrameType.relay << 24;

/** Key stream is made for so many frames at once. */
const ahead = 64;
const blockOctets = 16;
const wordsPerFrame = 8;
export const batchOctets = 2 * ahead * blockOctets;

/** One block cipher under one key, without a mode: what AES-GCM is made of. */
export interface Blocks {
  /** Encrypts `count` blocks from `input` to `output`, below. */
  encrypt(count: number): void;
  /** `batchOctets` long, the same for all keys of a thread. */
  readonly input: DataView;
  /** `batchOctets` long, this key's own. */
  readonly output: Int32Array;
}

/**
 * AES-256-GCM of relay headers: eight octets, with the same additional data each time. Octet for octet what the general
 * way makes of them (NIST SP 800-38D), at a third to a seventh of its price (docs/decisions/131), which is all fixed
 * costs: two foreign calls, and a context set up and finished, for half a block. Every relay pays that twice a frame,
 * the ends once more each.
 *
 *   sealed = header ^ E(nonce ‖ 2)      tag = E(nonce ‖ 1) ^ A·H³ ^ sealed·H² ^ L·H      with H = E(0)
 *
 * The E of the next 64 counters come from one foreign call. A, the additional data, and L, the lengths, are constant, so
 * their part of the tag is one constant. The product with H² is 16 look-ups by half octets, whose addresses depend on
 * what is on the wire anyway: their time tells a listener nothing.
 */
export class HeaderKey {
  readonly #view: DataView;
  readonly #blocks: Blocks;
  /** Products of H² with every value of every half octet, four words each; then the constant part of the tag. */
  readonly #table = new Int32Array(16 * 16 * 4 + 4);
  #first = -1;

  /** `view`: the arena's. */
  constructor(view: DataView, blocks: Blocks) {
    this.#view = view;
    this.#blocks = blocks;
    this.#makeTable();
  }

  /** Seals the header's octets at `text` behind the transport header at `at`, their tag behind them. */
  seal(at: number, counter: number, text: number): void {
    const view = this.#view;
    const out = at + transportHeaderLength;
    const stream = this.#streamOf(counter);
    const { output } = this.#blocks;
    const high = view.getInt32(text, true) ^ output[stream + 4]!;
    const low = view.getInt32(text + 4, true) ^ output[stream + 5]!;
    view.setInt32(out, high, true);
    view.setInt32(out + 4, low, true);
    const tag = out + relayHeaderLength;
    for (let i = 0; i < 4; i++) view.setInt32(tag + 4 * i, this.#tagWord(i, high, low) ^ output[stream + i]!, true);
  }

  /** Opens them in place. False: not authentic, and as it was. */
  open(at: number): boolean {
    const view = this.#view;
    const text = at + transportHeaderLength;
    const stream = this.#streamOf(view.getInt32(at + 12));
    const { output } = this.#blocks;
    const high = view.getInt32(text, true);
    const low = view.getInt32(text + 4, true);
    const tag = text + relayHeaderLength;
    let differs = 0;
    for (let i = 0; i < 4; i++) {
      differs |= this.#tagWord(i, high, low) ^ output[stream + i]! ^ view.getInt32(tag + 4 * i, true);
    }
    if (differs !== 0) return false;
    view.setInt32(text, high ^ output[stream + 4]!, true);
    view.setInt32(text + 4, low ^ output[stream + 5]!, true);
    return true;
  }

  wipe(): void {
    this.#table.fill(0);
    this.#blocks.output.fill(0);
    this.#first = -1;
  }

  /** Word `i` of sealed·H² and of the constant part. The words are octets in the order of the wire, lowest first. */
  #tagWord(i: number, high: number, low: number): number {
    const t = this.#table;
    return (
      t[1024 + i]! ^
      t[(((high >>> 4) & 15) << 2) + i]! ^
      t[64 + ((high & 15) << 2) + i]! ^
      t[128 + (((high >>> 12) & 15) << 2) + i]! ^
      t[192 + (((high >>> 8) & 15) << 2) + i]! ^
      t[256 + (((high >>> 20) & 15) << 2) + i]! ^
      t[320 + (((high >>> 16) & 15) << 2) + i]! ^
      t[384 + ((high >>> 28) << 2) + i]! ^
      t[448 + (((high >>> 24) & 15) << 2) + i]! ^
      t[512 + (((low >>> 4) & 15) << 2) + i]! ^
      t[576 + ((low & 15) << 2) + i]! ^
      t[640 + (((low >>> 12) & 15) << 2) + i]! ^
      t[704 + (((low >>> 8) & 15) << 2) + i]! ^
      t[768 + (((low >>> 20) & 15) << 2) + i]! ^
      t[832 + (((low >>> 16) & 15) << 2) + i]! ^
      t[896 + ((low >>> 28) << 2) + i]! ^
      t[960 + (((low >>> 24) & 15) << 2) + i]!
    );
  }

  /** Where the key stream of this counter begins among the words of the batch; made where it is not there. */
  #streamOf(counter: number): number {
    const index = counter - this.#first;
    if (this.#first >= 0 && index >= 0 && index < ahead) return index * wordsPerFrame;
    const { input } = this.#blocks;
    for (let i = 0; i < ahead; i++) {
      const at = 2 * i * blockOctets;
      writeBlock(input, at, 0, 0, counter + i, 1);
      writeBlock(input, at + blockOctets, 0, 0, counter + i, 2);
    }
    this.#blocks.encrypt(2 * ahead);
    this.#first = counter;
    return 0;
  }

  #makeTable(): void {
    const { input, output } = this.#blocks;
    writeBlock(input, 0, 0, 0, 0, 0);
    this.#blocks.encrypt(1);
    const h = bigEndian(output.subarray(0, 4));
    const square = product(h, h);
    const data = Int32Array.of(quickWord, 0, 0, relayHeaderLength << 24);
    const lengths = Int32Array.of(0, 8 * aadLength, 0, 8 * relayHeaderLength);
    const inner = product(data, square);
    const constant = product(inner, h);
    const last = product(lengths, h);
    for (let i = 0; i < 4; i++) this.#table[1024 + i] = swapped(constant[i]! ^ last[i]!);
    // From H² on, times x with each bit: the field's elements have their lowest power in the highest bit.
    const power = square;
    for (let position = 0; position < 16; position++) {
      for (let bit = 8; bit > 0; bit >>>= 1) {
        for (let value = 0; value < 16; value++) {
          if ((value & bit) === 0) continue;
          for (let i = 0; i < 4; i++) this.#table[position * 64 + value * 4 + i]! ^= swapped(power[i]!);
        }
        timesX(power);
      }
    }
    // The inner one is A·H² with A known to all: as good as H. So is E(0), which would lie there until the next batch.
    for (const secret of [h, square, inner, constant, last, output]) secret.fill(0);
  }
}

function writeBlock(view: DataView, at: number, a: number, b: number, c: number, d: number): void {
  view.setInt32(at, a);
  view.setInt32(at + 4, b);
  view.setInt32(at + 8, c);
  view.setInt32(at + 12, d);
}

function swapped(word: number): number {
  return (word << 24) | ((word & 0xff00) << 8) | ((word >>> 8) & 0xff00) | (word >>> 24);
}

function bigEndian(words: Int32Array): Int32Array {
  const result = element();
  for (let i = 0; i < 4; i++) result[i] = swapped(words[i]!);
  return result;
}

/** The four words of one, for what is as good as a key. */
function element(): Int32Array {
  return new Int32Array(secretBytes(blockOctets).buffer);
}

/** Multiplies by x in GF(2^128) as GCM writes it, in place (SP 800-38D §6.3). Same steps whatever the element. */
function timesX(v: Int32Array): void {
  const carry = -(v[3]! & 1);
  v[3] = (v[3]! >>> 1) | (v[2]! << 31);
  v[2] = (v[2]! >>> 1) | (v[1]! << 31);
  v[1] = (v[1]! >>> 1) | (v[0]! << 31);
  v[0] = (v[0]! >>> 1) ^ (carry & 0xe100_0000);
}

/** The product in GF(2^128). Slow, and the same steps whatever the factors. */
function product(x: Int32Array, y: Int32Array): Int32Array {
  const z = element();
  const v = element();
  v.set(y);
  for (let bit = 0; bit < 128; bit++) {
    const mask = -((x[bit >>> 5]! >>> (31 - (bit & 31))) & 1);
    for (let i = 0; i < 4; i++) z[i]! ^= v[i]! & mask;
    timesX(v);
  }
  v.fill(0);
  return z;
}
