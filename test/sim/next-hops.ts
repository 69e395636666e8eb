/** Where a node sends packets for a prefix: a neighbour's node index, or one of these. */
export type Via = number;
export const own: Via = -1;
export const none: Via = -2;

/** A prefix, by its place among all that were seen. */
export type PrefixIndex = number;

/** Next hops of one node for one prefix: the selected one and two spare ones, all that a forwarding table takes. */
const lanes = 3;
/** In a lane that is not used. */
const unused: Via = -3;

/**
 * The next hops of all nodes for all prefixes, and whether they go round. A neighbour that died, and started anew, has
 * not the keys of the tunnel that leads to what it was: it drops what still comes there, and forwards nothing of it.
 */
export class NextHops {
  /** By prefix: the next hops of one node after the other, or a search would be a walk through memory. */
  readonly #hops: Int32Array[] = [];
  /** Node and peer: the tunnel is to a start of the peer that is over. */
  readonly #void = new Set<number>();
  /** How many nodes have been seen. */
  #nodes = 0;
  /** By node: the search that reached it last. */
  #reachedBy = new Int32Array(64);
  /** Nodes that a search has reached and not left yet: each is reached once. */
  #open = new Int32Array(64);
  #search = 0;

  /** True when one of them was none before: only such a one can close a loop. */
  set(node: number, prefix: PrefixIndex, via: Via, spares: readonly Via[]): boolean {
    if (spares.length >= lanes) throw new Error(`${spares.length} spare next hops`);
    this.#reserve(node, prefix);
    const hops = this.#hops[prefix]!;
    const at = node * lanes;
    const [first, second, third] = [hops[at]!, hops[at + 1]!, hops[at + 2]!];
    hops[at] = via;
    hops[at + 1] = spares[0] ?? unused;
    hops[at + 2] = spares[1] ?? unused;
    for (let i = at; i < at + lanes; i++) {
      const hop = hops[i]!;
      if (hop >= 0 && hop !== first && hop !== second && hop !== third) return true;
    }
    return false;
  }

  #reserve(node: number, prefix: PrefixIndex): void {
    this.#nodes = Math.max(this.#nodes, node + 1);
    while (this.#hops.length <= prefix) this.#hops.push(new Int32Array(0));
    if (this.#nodes * lanes <= this.#hops[prefix]!.length) return;
    const more = new Int32Array(2 * this.#nodes * lanes);
    for (let at = 0; at < more.length; at++) more[at] = at % lanes === 0 ? none : unused;
    more.set(this.#hops[prefix]!);
    this.#hops[prefix] = more;
  }

  via(node: number, prefix: PrefixIndex): Via {
    return this.#hops[prefix]?.[node * lanes] ?? none;
  }

  /** The first spare next hop, or the second, if there is one. */
  spare(node: number, prefix: PrefixIndex, which: 1 | 2): Via | undefined {
    const spare = this.#hops[prefix]?.[node * lanes + which];
    return spare === unused ? undefined : spare;
  }

  /** Whether the peer is a next hop, selected or spare. */
  leadsTo(node: number, prefix: PrefixIndex, peer: number): boolean {
    const hops = this.#hops[prefix];
    if (!hops) return false;
    const at = node * lanes;
    return hops[at] === peer || hops[at + 1] === peer || hops[at + 2] === peer;
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
    const hops = this.#hops[prefix];
    if (!hops) return undefined;
    let open = 0;
    for (let at = node; at >= 0; at = open > 0 ? this.#open[--open]! : none) {
      // A node of which nothing was said yet leads nowhere.
      for (let i = at * lanes; i < (at + 1) * lanes && i < hops.length; i++) {
        const next = this.#alive(at, hops[i]!);
        if (next === node) return at;
        if (next < 0 || this.#reachedBy[next] === search) continue;
        if (next >= this.#reachedBy.length) this.#growSearch(next);
        this.#reachedBy[next] = search;
        this.#open[open++] = next;
      }
    }
    return undefined;
  }

  #growSearch(node: number): void {
    const more = new Int32Array(2 * node);
    more.set(this.#reachedBy);
    this.#reachedBy = more;
    const open = new Int32Array(2 * node);
    open.set(this.#open);
    this.#open = open;
  }

  /** What the peer is now has spoken to the node; true when the node's tunnel led nowhere until then. */
  spoke(peer: number, node: number): boolean {
    return this.#void.size > 0 && this.#void.delete(keyOf(node, peer));
  }

  /** The dead forward nothing. */
  died(node: number): void {
    for (let other = 0; other < this.#nodes; other++) if (other !== node) this.#void.add(keyOf(other, node));
    for (let prefix = 0; prefix < this.#hops.length; prefix++) this.set(node, prefix, none, []);
  }
}

function keyOf(node: number, peer: number): number {
  return node * 0x10000 + peer;
}
