import type { NextHops, PrefixIndex } from './next-hops.js';

/** A loop, and how many updates its nodes have heard from their next hops since it came to be. */
interface Loop {
  readonly prefix: PrefixIndex;
  readonly nodes: readonly number[];
  readonly heard: Map<number, number>;
}

/** Loops between routes of several originators, which may exist for a while (RFC 8966 §2.8). */
export class SharedLoops {
  readonly #hops: NextHops;
  /** By prefix and nodes. */
  readonly #loops = new Map<string, Loop>();
  /** How many there have been. */
  seen = 0;

  constructor(hops: NextHops) {
    this.#hops = hops;
  }

  /** A next hop has changed: notes the loop that the node is in, and lets go those that are none any more. */
  watch(node: number, prefix: PrefixIndex): void {
    for (const [key, loop] of this.#loops) {
      if (loop.prefix === prefix && this.#hops.loopFrom(loop.nodes[0]!, prefix)?.length !== loop.nodes.length)
        this.#loops.delete(key);
    }
    const nodes = this.#hops.loopFrom(node, prefix);
    if (!nodes) return;
    const key = `${prefix} ${[...nodes].sort((a, b) => a - b).join(' ')}`;
    if (this.#loops.has(key)) return;
    this.#loops.set(key, { prefix, nodes, heard: new Map() });
    this.seen++;
  }

  /** An update has come to a node: a loop that has outlived as many of them at each of its nodes as it has nodes. */
  outlived(from: number, to: number, prefix: PrefixIndex): readonly number[] | undefined {
    for (const { prefix: about, nodes, heard } of this.#loops.values()) {
      if (about !== prefix || this.#hops.next(to, prefix) !== from || !nodes.includes(to)) continue;
      heard.set(to, (heard.get(to) ?? 0) + 1);
      if (nodes.every((node) => (heard.get(node) ?? 0) > nodes.length)) return nodes;
    }
    return undefined;
  }
}
