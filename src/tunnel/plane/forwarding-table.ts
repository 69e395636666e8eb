import type { LinkId, NodeRoute, PrefixRoute } from './contract.js';
import type { AddressWords } from './packet.js';
import { PrefixSlots } from './prefix-slots.js';
import { PrefixTrie } from './prefix-trie.js';

/** What `lookup` says besides a node number and `noPrefix`. */
export const ownPrefix = 0;

/**
 * Where packets go: longest prefix to the node to seal for, node number to next hops. IPv4 has a trie of its own: each
 * family lies densely under a beginning of its own.
 */
export class ForwardingTable {
  readonly #ipv4 = new PrefixTrie();
  readonly #ipv6 = new PrefixTrie();
  readonly #ipv4Slots = new PrefixSlots(this.#ipv4);
  readonly #ipv6Slots = new PrefixSlots(this.#ipv6);
  readonly #hops = new Map<number, readonly LinkId[]>();

  get prefixes(): number {
    return this.#ipv4.live + this.#ipv6.live;
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

  /**
   * The egress of the longest prefix of its family that holds the address: a node number, `ownPrefix` or `noPrefix`. Whom a
   * certificate grants ::/0 it grants no IPv4, though that is written inside it.
   */
  lookup({ a, b, c, d }: AddressWords): number {
    const isIpv4 = a === 0 && b === 0 && c === 0xffff;
    return (isIpv4 ? this.#ipv4Slots : this.#ipv6Slots).lookup(a, b, c, d);
  }

  setPrefix(route: PrefixRoute): void {
    const key = words(route.prefix);
    const isIpv4 = holdsIpv4(key, route.length);
    (isIpv4 ? this.#ipv4 : this.#ipv6).set(key, route.length, route.egress ?? ownPrefix);
    (isIpv4 ? this.#ipv4Slots : this.#ipv6Slots).changed(key, route.length);
  }

  removePrefix(prefix: Uint8Array, length: number): void {
    const key = words(prefix);
    const isIpv4 = holdsIpv4(key, length);
    (isIpv4 ? this.#ipv4 : this.#ipv6).remove(key, length);
    (isIpv4 ? this.#ipv4Slots : this.#ipv6Slots).changed(key, length);
  }
}

function words(prefix: Uint8Array): Int32Array {
  const view = new DataView(prefix.buffer, prefix.byteOffset, 16);
  return Int32Array.of(view.getInt32(0), view.getInt32(4), view.getInt32(8), view.getInt32(12));
}

/** Nothing but IPv4 addresses: inside ::ffff:0:0/96. */
function holdsIpv4(key: Int32Array, length: number): boolean {
  return length >= 96 && key[0] === 0 && key[1] === 0 && key[2] === 0xffff;
}
