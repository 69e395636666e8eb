import { maskOf } from './packet.js';

/** What a lookup says where no prefix holds the address. */
export const noPrefix = -1;

export const stride = 8;
/** Where in a node its length, its first child and its egress are. */
export const Field = { length: 4, child: 5, egress: 7 } as const;
const unset = -2;
const leastNodes = 64;

/**
 * Prefixes and their egresses, in a path-compressed binary trie of eight words a node, so that a walk touches one cache
 * line a step:
 *
 *   key (4 words) │ length │ child 0 │ child 1 │ egress (unset: only a branching point)
 *
 * Node 0 is the root, length 0. Children are offsets, 0 for none. A removed prefix leaves its node behind as a branching
 * point; the trie is built anew when more than three quarters of it are such remains.
 */
export class PrefixTrie {
  #words = new Int32Array(leastNodes * stride);
  #used = 1;
  #live = 0;
  #built = 0;

  constructor() {
    this.#words[Field.egress] = unset;
  }

  /** How many prefixes there are. */
  get live(): number {
    return this.#live;
  }

  /** Goes up when offsets of nodes, as found before, are no longer theirs. */
  get built(): number {
    return this.#built;
  }

  get nodes(): number {
    return this.#used;
  }

  /** The nodes, to be read only; another array after the next `set` or `remove`. */
  get words(): Int32Array {
    return this.#words;
  }

  /** The egress of this node's own prefix; undefined for a branching point. */
  egressOf(node: number): number | undefined {
    const egress = this.#words[node + Field.egress]!;
    return egress === unset ? undefined : egress;
  }

  /** The egress of the longest prefix that holds the address, looking from `from` down; `above` where none does. */
  lookup(from: number, above: number, a: number, b: number, c: number, d: number): number {
    const words = this.#words;
    let best = above;
    let node = from;
    for (;;) {
      const length = words[node + Field.length]!;
      const egress = words[node + Field.egress]!;
      if (egress !== unset) {
        if (!matches(words, node, length, a, b, c, d)) return best;
        best = egress;
      }
      if (length === 128) return best;
      const word = length < 64 ? (length < 32 ? a : b) : length < 96 ? c : d;
      node = words[node + Field.child + ((word >>> (31 - (length & 31))) & 1)]!;
      if (node === 0) return best;
    }
  }

  set(key: Int32Array, length: number, egress: number): void {
    const node = this.#place(key, length);
    if (this.#words[node + Field.egress] === unset) this.#live++;
    this.#words[node + Field.egress] = egress;
  }

  remove(key: Int32Array, length: number): void {
    let node = 0;
    while (this.#words[node + Field.length]! < length) {
      node = this.#words[node + Field.child + bitOf(key, this.#words[node + Field.length]!)]!;
      if (node === 0) return;
    }
    if (this.#words[node + Field.length] !== length || this.#common(node, key, length) < length) return;
    if (this.#words[node + Field.egress] === unset) return;
    this.#words[node + Field.egress] = unset;
    this.#live--;
    if (this.#used > leastNodes && this.#used > 4 * this.#live) this.#rebuild();
  }

  /** The node of exactly this prefix, made when it is not there. */
  #place(key: Int32Array, length: number): number {
    let parent = -1;
    let node = 0;
    for (;;) {
      const here = this.#words[node + Field.length]!;
      const common = this.#common(node, key, Math.min(here, length));
      if (common < here) return this.#split(parent, node, key, length, common);
      if (here === length) return node;
      const side = Field.child + bitOf(key, here);
      const next = this.#words[node + side]!;
      if (next === 0) {
        const made = this.#make(key, length);
        this.#words[node + side] = made;
        return made;
      }
      parent = node;
      node = next;
    }
  }

  /** Puts a node of length `common` (or the prefix itself) between `parent` and `node`. */
  #split(parent: number, node: number, key: Int32Array, length: number, common: number): number {
    const side = Field.child + bitOf(key, this.#words[parent + Field.length]!);
    const upper = this.#make(key, common);
    this.#words[parent + side] = upper;
    const other = this.#words.subarray(node, node + 4);
    this.#words[upper + Field.child + bitOf(other, common)] = node;
    if (common === length) return upper;
    const made = this.#make(key, length);
    this.#words[upper + Field.child + bitOf(key, common)] = made;
    return made;
  }

  #make(key: Int32Array, length: number): number {
    const node = this.#used * stride;
    if (node === this.#words.length) {
      const grown = new Int32Array(2 * this.#words.length);
      grown.set(this.#words);
      this.#words = grown;
    }
    this.#used++;
    for (let i = 0; i < 4; i++) this.#words[node + i] = key[i]! & maskOf(length - 32 * i);
    this.#words[node + Field.length] = length;
    this.#words[node + Field.egress] = unset;
    return node;
  }

  /** How many leading bits, up to `limit`, the node's key and this one share. */
  #common(node: number, key: Int32Array, limit: number): number {
    for (let i = 0; i < 4 && 32 * i < limit; i++) {
      const difference = this.#words[node + i]! ^ key[i]!;
      if (difference !== 0) return Math.min(limit, 32 * i + Math.clz32(difference));
    }
    return limit;
  }

  #rebuild(): void {
    const old = this.#words;
    const used = this.#used;
    this.#words = new Int32Array(Math.max(leastNodes, 4 * this.#live) * stride);
    this.#words[Field.egress] = unset;
    this.#used = 1;
    this.#built++;
    for (let i = 0; i < used; i++) {
      const egress = old[i * stride + Field.egress]!;
      if (egress === unset) continue;
      const node = this.#place(old.slice(i * stride, i * stride + 4), old[i * stride + Field.length]!);
      this.#words[node + Field.egress] = egress;
    }
  }
}

/** Whether the first `length` bits of the key that lies in `words` at `at` are those of the address. */
export function matches(
  words: Int32Array,
  at: number,
  length: number,
  a: number,
  b: number,
  c: number,
  d: number,
): boolean {
  if (((words[at]! ^ a) & maskOf(length)) !== 0) return false;
  if (length <= 32) return true;
  if (((words[at + 1]! ^ b) & maskOf(length - 32)) !== 0) return false;
  if (length <= 64) return true;
  if (((words[at + 2]! ^ c) & maskOf(length - 64)) !== 0) return false;
  return length <= 96 || ((words[at + 3]! ^ d) & maskOf(length - 96)) === 0;
}

function bitOf(key: Int32Array, index: number): number {
  return (key[index >>> 5]! >>> (31 - (index & 31))) & 1;
}
