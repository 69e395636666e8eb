import type { PrefixIndex } from './next-hops.js';
import { nothing, type Said } from './said.js';

/** What each node last heard of each prefix from each peer. */
export class Heard {
  /** By node, then by peer, then by prefix. */
  readonly #tables: (Map<number, Float64Array> | undefined)[] = [];

  get(node: number, peer: number, prefix: PrefixIndex): Said {
    return this.#tables[node]?.get(peer)?.[prefix] ?? nothing;
  }

  set(node: number, peer: number, prefix: PrefixIndex, words: Said): void {
    this.#tables[node] ??= new Map();
    const peers = this.#tables[node]!;
    let table = peers.get(peer);
    if (!table || table.length <= prefix) {
      const longer = new Float64Array(Math.max(8, 2 ** Math.ceil(Math.log2(prefix + 1))));
      if (table) longer.set(table);
      table = longer;
      peers.set(peer, table);
    }
    table[prefix] = words;
  }

  /** Everything from the peer; gives the prefixes it was about. */
  forget(node: number, peer: number): PrefixIndex[] {
    const table = this.#tables[node]?.get(peer);
    if (!table) return [];
    this.#tables[node]!.delete(peer);
    return [...table.keys()].filter((prefix) => table[prefix] !== nothing);
  }

  forgetNode(node: number): void {
    this.#tables[node] = undefined;
  }
}
