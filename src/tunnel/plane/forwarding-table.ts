import type { LinkId, NodeRoute, PrefixRoute } from './contract.js';
import { type AddressWords, maskOf } from './packet.js';

/** What `lookup` says besides a node number. */
export const ownPrefix = 0;
export const noPrefix = -1;

const stride = 8;
const unset = -2;

/** From this many prefixes on, the busiest 18 bits are looked up at once; below, the walk is short and stays in cache. */
const jumpFrom = 4096;
const jumpBits = 18;

/**
 * Where packets go: longest prefix to the node to seal for, node number to next hops.
 *
 * Prefixes live in a path-compressed binary trie, eight words a node, so that a lookup touches one cache line a step:
 *
 *   key (4 words) │ length │ child 0 │ child 1 │ egress (unset: only a branching point)
 *
 * Node 0 is the root, length 0. Children are offsets, 0 for none. A removed prefix leaves its node behind as a branching
 * point; the trie is built anew when more than half of it is such remains.
 *
 * A large trie has a jump table: the 18 bits behind the prefix under which most of it lies lead straight to the node where
 * the walk goes on, and to the best match above it. Made by the first lookup after a change.
 */
export class ForwardingTable {
  #trie = new Int32Array(64 * stride);
  #used = 1;
  #live = 0;
  /** Pairs of node and best match above it; `#jumpNode`: the node under whose prefix it holds. */
  #jump: Int32Array | undefined;
  #jumpNode = 0;
  #jumpIsStale = true;
  readonly #hops = new Map<number, readonly LinkId[]>();

  constructor() {
    this.#trie[7] = unset;
  }

  get prefixes(): number {
    return this.#live;
  }

  /** Next hops of this node, best first; undefined when it has no route. */
  hops(node: number): readonly LinkId[] | undefined {
    return this.#hops.get(node);
  }

  patchNodes(routes: readonly NodeRoute[]): void {
    for (const { node, hops } of routes) {
      if (hops.length === 0) this.#hops.delete(node);
      else this.#hops.set(node, hops.slice(0, 3));
    }
  }

  /** The egress of the longest prefix that holds the address: a node number, `ownPrefix` or `noPrefix`. */
  lookup(address: AddressWords): number {
    const trie = this.#trie;
    const { a, b, c, d } = address;
    if (this.#jumpIsStale) this.#makeJump();
    const jump = this.#jump;
    if (jump) {
      const base = this.#jumpNode;
      const length = trie[base + 4]!;
      if (matches(trie, base, length, a, b, c, d)) {
        const at = 2 * bitsAt(length, a, b, c, d);
        return jump[at] === 0 ? jump[at + 1]! : walk(trie, jump[at]!, jump[at + 1]!, a, b, c, d);
      }
    }
    return walk(trie, 0, noPrefix, a, b, c, d);
  }

  setPrefix(route: PrefixRoute): void {
    const key = words(route.prefix);
    const node = this.#place(key, route.length);
    this.#jumpIsStale = true;
    if (this.#trie[node + 7] === unset) this.#live++;
    this.#trie[node + 7] = route.egress ?? ownPrefix;
  }

  removePrefix(prefix: Uint8Array, length: number): void {
    const key = words(prefix);
    let node = 0;
    while (this.#trie[node + 4]! < length) {
      node = this.#trie[node + 5 + bitOf(key, this.#trie[node + 4]!)]!;
      if (node === 0) return;
    }
    if (this.#trie[node + 4] !== length || this.#common(node, key, length) < length) return;
    if (this.#trie[node + 7] === unset) return;
    this.#trie[node + 7] = unset;
    this.#live--;
    this.#jumpIsStale = true;
    if (this.#used > 64 && this.#used > 4 * this.#live) this.#rebuild();
  }

  /** The node of exactly this prefix, made when it is not there. */
  #place(key: Int32Array, length: number): number {
    let parent = -1;
    let node = 0;
    for (;;) {
      const here = this.#trie[node + 4]!;
      const common = this.#common(node, key, Math.min(here, length));
      if (common < here) return this.#split(parent, node, key, length, common);
      if (here === length) return node;
      const side = 5 + bitOf(key, here);
      const next = this.#trie[node + side]!;
      if (next === 0) {
        const made = this.#make(key, length);
        this.#trie[node + side] = made;
        return made;
      }
      parent = node;
      node = next;
    }
  }

  /** Puts a node of length `common` (or the prefix itself) between `parent` and `node`. */
  #split(parent: number, node: number, key: Int32Array, length: number, common: number): number {
    const side = 5 + bitOf(key, this.#trie[parent + 4]!);
    const upper = this.#make(key, common);
    this.#trie[parent + side] = upper;
    const other = this.#trie.subarray(node, node + 4);
    this.#trie[upper + 5 + bitOf(other, common)] = node;
    if (common === length) return upper;
    const made = this.#make(key, length);
    this.#trie[upper + 5 + bitOf(key, common)] = made;
    return made;
  }

  #make(key: Int32Array, length: number): number {
    const node = this.#used * stride;
    if (node === this.#trie.length) {
      const grown = new Int32Array(2 * this.#trie.length);
      grown.set(this.#trie);
      this.#trie = grown;
    }
    this.#used++;
    for (let i = 0; i < 4; i++) this.#trie[node + i] = key[i]! & maskOf(length - 32 * i);
    this.#trie[node + 4] = length;
    this.#trie[node + 7] = unset;
    return node;
  }

  /** How many leading bits, up to `limit`, the node's key and this one share. */
  #common(node: number, key: Int32Array, limit: number): number {
    for (let i = 0; i < 4 && 32 * i < limit; i++) {
      const difference = this.#trie[node + i]! ^ key[i]!;
      if (difference !== 0) return Math.min(limit, 32 * i + Math.clz32(difference));
    }
    return limit;
  }

  #makeJump(): void {
    this.#jumpIsStale = false;
    this.#jump = undefined;
    if (this.#live < jumpFrom) return;
    const trie = this.#trie;
    const sizes = new Int32Array(this.#used);
    const order = [0];
    for (let i = 0; i < order.length; i++) {
      for (const child of [trie[order[i]! + 5]!, trie[order[i]! + 6]!]) if (child !== 0) order.push(child);
    }
    for (const node of order.reverse()) {
      const below = [trie[node + 5]!, trie[node + 6]!].map((child) => (child === 0 ? 0 : sizes[child / stride]!));
      sizes[node / stride] = 1 + below[0]! + below[1]!;
    }
    // Down to where the mass of the trie forks.
    let node = 0;
    let best = trie[7] === unset ? noPrefix : trie[7]!;
    for (;;) {
      const heavy = [trie[node + 5]!, trie[node + 6]!].find(
        (one) => one && sizes[one / stride]! * 8 > sizes[node / stride]! * 7,
      );
      if (heavy === undefined || trie[heavy + 4]! > 128 - jumpBits) break;
      node = heavy;
      if (trie[node + 7] !== unset) best = trie[node + 7]!;
    }
    this.#jumpNode = node;
    const jump = new Int32Array(2 << jumpBits);
    for (let i = 1; i < jump.length; i += 2) jump[i] = best;
    for (const child of [trie[node + 5]!, trie[node + 6]!]) if (child !== 0) this.#fillJump(jump, child, best);
    this.#jump = jump;
  }

  #fillJump(jump: Int32Array, node: number, above: number): void {
    const trie = this.#trie;
    const base = trie[this.#jumpNode + 4]!;
    const first = bitsAt(base, trie[node]!, trie[node + 1]!, trie[node + 2]!, trie[node + 3]!);
    const bits = trie[node + 4]! - base;
    if (bits >= jumpBits) {
      jump[2 * first] = node;
      return;
    }
    const best = trie[node + 7] === unset ? above : trie[node + 7]!;
    const last = first + 2 ** (jumpBits - bits);
    for (let i = first; i < last; i++) {
      jump[2 * i] = 0;
      jump[2 * i + 1] = best;
    }
    for (const child of [trie[node + 5]!, trie[node + 6]!]) if (child !== 0) this.#fillJump(jump, child, best);
  }

  #rebuild(): void {
    const old = this.#trie;
    const used = this.#used;
    this.#trie = new Int32Array(Math.max(64, 4 * this.#live) * stride);
    this.#trie[7] = unset;
    this.#used = 1;
    for (let i = 0; i < used; i++) {
      const egress = old[i * stride + 7]!;
      if (egress === unset) continue;
      const node = this.#place(old.slice(i * stride, i * stride + 4), old[i * stride + 4]!);
      this.#trie[node + 7] = egress;
    }
  }
}

/** Goes down from a node; `best` is the longest match above it. */
function walk(trie: Int32Array, from: number, above: number, a: number, b: number, c: number, d: number): number {
  let best = above;
  let node = from;
  for (;;) {
    const length = trie[node + 4]!;
    const egress = trie[node + 7]!;
    if (egress !== unset) {
      if (!matches(trie, node, length, a, b, c, d)) return best;
      best = egress;
    }
    if (length === 128) return best;
    const word = length < 64 ? (length < 32 ? a : b) : length < 96 ? c : d;
    node = trie[node + 5 + ((word >>> (31 - (length & 31))) & 1)]!;
    if (node === 0) return best;
  }
}

/** The 18 bits that begin at bit `at` (at most 110) of an address, as a number. */
function bitsAt(at: number, a: number, b: number, c: number, d: number): number {
  const high = at < 64 ? (at < 32 ? a : b) : at < 96 ? c : d;
  const low = at < 32 ? b : at < 64 ? c : at < 96 ? d : 0;
  const shift = at & 31;
  return (shift === 0 ? high : (high << shift) | (low >>> (32 - shift))) >>> (32 - jumpBits);
}

function words(prefix: Uint8Array): Int32Array {
  const view = new DataView(prefix.buffer, prefix.byteOffset, 16);
  return Int32Array.of(view.getInt32(0), view.getInt32(4), view.getInt32(8), view.getInt32(12));
}

function bitOf(key: Int32Array, index: number): number {
  return (key[index >>> 5]! >>> (31 - (index & 31))) & 1;
}

function matches(trie: Int32Array, node: number, length: number, a: number, b: number, c: number, d: number): boolean {
  if (((trie[node]! ^ a) & maskOf(length)) !== 0) return false;
  if (length <= 32) return true;
  if (((trie[node + 1]! ^ b) & maskOf(length - 32)) !== 0) return false;
  if (length <= 64) return true;
  if (((trie[node + 2]! ^ c) & maskOf(length - 64)) !== 0) return false;
  return length <= 96 || ((trie[node + 3]! ^ d) & maskOf(length - 96)) === 0;
}
