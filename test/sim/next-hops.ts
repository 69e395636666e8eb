/** Where a node sends packets for a prefix: a neighbour's node index, or one of these. */
export type Via = number;
export const own: Via = -1;
export const none: Via = -2;

/** A prefix, by its place among all that were seen. */
export type PrefixIndex = number;

/**
 * The next hops of all nodes for all prefixes, and whether they go round. A neighbour that died, and started anew, has
 * not the keys of the tunnel that leads to what it was: it drops what still comes there, and forwards nothing of it.
 */
export class NextHops {
  /** By prefix, then by node. */
  readonly #vias: Via[][] = [];
  readonly #spares: (readonly Via[] | undefined)[][] = [];
  /** Node and peer: the tunnel is to a start of the peer that is over. */
  readonly #void = new Set<number>();
  /** How many nodes have been seen. */
  #nodes = 0;
  /** By node: the search that reached it last. */
  readonly #reachedBy: number[] = [];
  #search = 0;

  set(node: number, prefix: PrefixIndex, via: Via, spares: readonly Via[]): void {
    this.#vias[prefix] ??= [];
    this.#spares[prefix] ??= [];
    this.#vias[prefix]![node] = via;
    this.#spares[prefix]![node] = spares;
    this.#nodes = Math.max(this.#nodes, node + 1);
  }

  via(node: number, prefix: PrefixIndex): Via {
    return this.#vias[prefix]?.[node] ?? none;
  }

  spares(node: number, prefix: PrefixIndex): readonly Via[] {
    return this.#spares[prefix]?.[node] ?? noSpares;
  }

  /** Whether the peer is a next hop, selected or spare. */
  leadsTo(node: number, prefix: PrefixIndex, peer: number): boolean {
    return this.via(node, prefix) === peer || this.spares(node, prefix).includes(peer);
  }

  /** Where the node's packets come to. */
  next(node: number, prefix: PrefixIndex): Via {
    return this.#alive(node, this.via(node, prefix));
  }

  #alive(node: number, via: Via): Via {
    return this.#void.size > 0 && this.#void.has(keyOf(node, via)) ? none : via;
  }

  /** The nodes that packets of this one come to again and again, if they do. */
  loopFrom(node: number, prefix: PrefixIndex): number[] | undefined {
    const way = [node];
    for (let at = this.next(node, prefix); at >= 0; at = this.next(at, prefix)) {
      const known = way.indexOf(at);
      if (known >= 0) return way.slice(known);
      way.push(at);
    }
    return undefined;
  }

  /** A node from which packets come back to this one, on some mixture of selected and spare next hops. */
  mixedLoopTo(node: number, prefix: PrefixIndex): number | undefined {
    const search = ++this.#search;
    const open = [node];
    for (let at = open.pop(); at !== undefined; at = open.pop()) {
      const spares = this.spares(at, prefix);
      for (let i = -1; i < spares.length; i++) {
        const next = this.#alive(at, i < 0 ? this.via(at, prefix) : spares[i]!);
        if (next === node) return at;
        if (next < 0 || this.#reachedBy[next] === search) continue;
        this.#reachedBy[next] = search;
        open.push(next);
      }
    }
    return undefined;
  }

  /** What the peer is now has spoken to the node; true when the node's tunnel led nowhere until then. */
  spoke(peer: number, node: number): boolean {
    return this.#void.size > 0 && this.#void.delete(keyOf(node, peer));
  }

  /** The dead forward nothing. */
  died(node: number): void {
    for (let other = 0; other < this.#nodes; other++) if (other !== node) this.#void.add(keyOf(other, node));
    for (const vias of this.#vias) vias[node] = none;
    for (const spares of this.#spares) spares[node] = undefined;
  }
}

const noSpares: readonly Via[] = [];

function keyOf(node: number, peer: number): number {
  return node * 0x10000 + peer;
}
