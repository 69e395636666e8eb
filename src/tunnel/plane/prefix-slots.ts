import { maskOf } from './packet.js';
import { Field, matches, noPrefix, type PrefixTrie, stride } from './prefix-trie.js';

/** From this many prefixes on there are slots; fewer lie in the cache closest to the processor anyway. */
const leastPrefixes = 256;
const entryWords = 3;
/** Longer lists are walks through the trie instead: so many entries are two cache lines. */
const mostEntries = 10;
const walks = 15;
/** What an entry's second word holds besides the egress: up to 64 bits are compared. */
const lengthBits = 7;
const mostEgress = 2 ** (32 - lengthBits);

/**
 * The way into a large trie: one slot for each value of the bits behind the prefix under which most of the trie lies. A
 * slot leads to the few prefixes it can mean, one after the other in memory, longest first. So a lookup touches two cache
 * lines, and of the memory it runs through (16 octets a prefix) much stays in the cache.
 *
 *   slot:   0 not made yet │ < 0 the answer is -slot - 2 │ > 0 offset of the list, count in the lower 4 bits
 *   entry:  32 bits behind the base │ the next 32 bits │ egress, how many of the 64 bits count (7)
 *   list of count 15:  a node of the trie to walk from │ the best match above it
 *
 * A slot is made by the first lookup that comes to it, and unmade by a change of what it covers: replacing one prefix
 * costs one list, and nothing is made for addresses that nobody asks for.
 */
export class PrefixSlots {
  readonly #trie: PrefixTrie;
  #slots: Int32Array | undefined;
  #bits = 0;
  #base = 0;
  readonly #baseKey = new Int32Array(4);
  #entries = new Int32Array(0);
  #used = 0;
  #built = 0;
  /** For how many prefixes it was laid out. */
  #laidOutFor = 0;

  constructor(trie: PrefixTrie) {
    this.#trie = trie;
  }

  lookup(a: number, b: number, c: number, d: number): number {
    const slots = this.#slots;
    const base = this.#base;
    if (!slots || !matches(this.#baseKey, 0, base, a, b, c, d)) return this.#trie.lookup(0, noPrefix, a, b, c, d);
    const first = wordAt(base, a, b, c, d);
    const index = first >>> (32 - this.#bits);
    let slot = slots[index]!;
    if (slot === 0) slot = this.#make(index, a, b, c, d);
    if (slot < 0) return -slot - 2;
    const entries = this.#entries;
    let at = slot >>> 4;
    const count = slot & 15;
    if (count === walks) return this.#trie.lookup(entries[at]!, entries[at + 1]!, a, b, c, d);
    const second = wordAt(base + 32, a, b, c, d);
    for (const end = at + entryWords * count; at < end; at += entryWords) {
      const last = entries[at + 2]!;
      const length = last & (2 ** lengthBits - 1);
      if (((entries[at]! ^ first) & maskOf(length)) !== 0) continue;
      if (length > 32 && ((entries[at + 1]! ^ second) & maskOf(length - 32)) !== 0) continue;
      return last >>> lengthBits;
    }
    return noPrefix;
  }

  /** A prefix of the trie was set or removed. */
  changed(key: Int32Array, length: number): void {
    const live = this.#trie.live;
    if (live >= 2 * this.#laidOutFor || (this.#slots && live < this.#laidOutFor / 4)) this.#layOut();
    if (!this.#slots) return;
    if (this.#trie.built !== this.#built) return this.#clear();
    const base = this.#base;
    if (!matches(this.#baseKey, 0, Math.min(base, length), key[0]!, key[1]!, key[2]!, key[3]!)) return;
    const first = wordAt(base, key[0]!, key[1]!, key[2]!, key[3]!) & maskOf(length - base);
    const index = first >>> (32 - this.#bits);
    this.#slots.fill(0, index, index + 2 ** Math.max(0, base + this.#bits - length));
  }

  #clear(): void {
    this.#built = this.#trie.built;
    this.#slots!.fill(0);
    this.#used = 0;
  }

  /** Chooses where the slots begin, and how many there are. */
  #layOut(): void {
    const trie = this.#trie;
    this.#slots = undefined;
    this.#entries = new Int32Array(0);
    this.#laidOutFor = Math.max(leastPrefixes / 2, trie.live);
    if (trie.live < leastPrefixes) return;
    this.#bits = 32 - Math.clz32(trie.live);
    const base = heaviest(trie, 128 - this.#bits);
    this.#base = trie.words[base + Field.length]!;
    this.#baseKey.set(trie.words.subarray(base, base + 4));
    this.#slots = new Int32Array(2 ** this.#bits);
    this.#entries = new Int32Array(entryWords * (5 * trie.live + mostEntries));
    this.#clear();
  }

  /** Makes the slot of this address; its value. */
  #make(index: number, a: number, b: number, c: number, d: number): number {
    const trie = this.#trie;
    const { words } = trie;
    const depth = this.#base + this.#bits;
    let above = noPrefix;
    let node = 0;
    // Down to the first node that is the slot's alone.
    for (;;) {
      const length = words[node + Field.length]!;
      if (!matches(words, node, Math.min(length, depth), a, b, c, d)) return this.#put(index, -above - 2);
      if (length >= depth) break;
      above = trie.egressOf(node) ?? above;
      const word = length < 64 ? (length < 32 ? a : b) : length < 96 ? c : d;
      node = words[node + Field.child + ((word >>> (31 - (length & 31))) & 1)]!;
      if (node === 0) return this.#put(index, -above - 2);
    }
    if (this.#used + entryWords * mostEntries > this.#entries.length) this.#clear();
    const start = this.#used;
    let count = this.#list(node, 0);
    if (count < mostEntries && above !== noPrefix) count = this.#add(count, 0, 0, 0, above);
    if (count >= mostEntries) {
      count = walks;
      this.#entries[start] = node;
      this.#entries[start + 1] = above;
    }
    this.#used += count === walks ? 2 : entryWords * count;
    return this.#put(index, (start << 4) | count);
  }

  #put(index: number, slot: number): number {
    this.#slots![index] = slot;
    return slot;
  }

  /**
   * Lists the prefixes of this node and below behind the `count` that are listed, longer ones first; how many there are
   * then.
   */
  #list(node: number, count: number): number {
    const { words } = this.#trie;
    for (let side = 0; side < 2; side++) {
      const child = words[node + Field.child + side]!;
      if (child !== 0 && count < mostEntries) count = this.#list(child, count);
    }
    const egress = this.#trie.egressOf(node);
    if (egress === undefined || count >= mostEntries) return count;
    const length = words[node + Field.length]! - this.#base;
    if (length > 64) return mostEntries;
    const first = wordAt(this.#base, words[node]!, words[node + 1]!, words[node + 2]!, words[node + 3]!);
    const second = wordAt(this.#base + 32, words[node]!, words[node + 1]!, words[node + 2]!, words[node + 3]!);
    return this.#add(count, first, second, length, egress);
  }

  #add(count: number, first: number, second: number, length: number, egress: number): number {
    if (egress >= mostEgress) return mostEntries;
    const at = this.#used + entryWords * count;
    this.#entries[at] = first;
    this.#entries[at + 1] = second;
    this.#entries[at + 2] = (egress << lengthBits) | length;
    return count + 1;
  }
}

/** The node, not longer than `longest`, down to which most of the trie lies under one child each. */
function heaviest(trie: PrefixTrie, longest: number): number {
  const { words } = trie;
  const prefixes = new Int32Array(trie.nodes);
  const weigh = (node: number): number => {
    let sum = trie.egressOf(node) === undefined ? 0 : 1;
    for (let side = 0; side < 2; side++) {
      const child = words[node + Field.child + side]!;
      if (child !== 0) sum += weigh(child);
    }
    prefixes[node / stride] = sum;
    return sum;
  };
  weigh(0);
  let node = 0;
  for (;;) {
    const enough = (prefixes[node / stride]! * 7) / 8;
    const heavy = [words[node + Field.child]!, words[node + Field.child + 1]!].find(
      (child) => child !== 0 && prefixes[child / stride]! > enough,
    );
    if (heavy === undefined || words[heavy + Field.length]! > longest) return node;
    node = heavy;
  }
}

/** The 32 bits that begin at bit `at` of an address; zeros behind its end. */
function wordAt(at: number, a: number, b: number, c: number, d: number): number {
  const high = at < 64 ? (at < 32 ? a : b) : at < 96 ? c : at < 128 ? d : 0;
  const shift = at & 31;
  if (shift === 0) return high;
  const low = at < 64 ? (at < 32 ? b : c) : at < 96 ? d : 0;
  return (high << shift) | (low >>> (32 - shift));
}
