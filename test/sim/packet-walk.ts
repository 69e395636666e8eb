import type { NodeNumber } from '../../src/addr/node-number.js';
import { Prefix } from '../../src/addr/prefix.js';
import { Forwarding } from '../../src/control/forwarding.js';
import type { RouteChange } from '../../src/routing/contract.js';
import { ForwardingTable, ownPrefix } from '../../src/tunnel/plane/forwarding-table.js';
import { AddressWords } from '../../src/tunnel/plane/packet.js';
import { noPrefix } from '../../src/tunnel/plane/prefix-trie.js';

/** What a node forwards by: the product's own Forwarding and ForwardingTable, fed with what its speaker chose. */
class Host {
  readonly #forwarding: Forwarding;
  readonly #table = new ForwardingTable();
  /** Prefixes of networks connected here. */
  readonly #own = new Map<string, Prefix>();

  constructor(network: Prefix) {
    this.#forwarding = new Forwarding(network);
  }

  apply(changes: readonly RouteChange[]): void {
    for (const { prefix, own } of changes) {
      if (own) this.#own.set(prefix.key, prefix);
      else this.#own.delete(prefix.key);
    }
    const { command } = this.#forwarding.apply(changes);
    if (command?.kind !== 'patchRoutes') return;
    this.#table.patchNodes(command.nodes);
    for (const { prefix, length } of command.removedPrefixes) this.#table.removePrefix(prefix, length);
    for (const route of command.prefixes) this.#table.setPrefix(route);
  }

  /** The node to seal for; 'here': to a machine connected here; undefined: nowhere. */
  egress(address: Uint8Array): NodeNumber | 'here' | undefined {
    const egress = this.#table.lookup(wordsOf(address));
    if (egress === noPrefix) return undefined;
    if (egress !== ownPrefix) return egress;
    const host = new Prefix(address, 128);
    const longest = (prefixes: Iterable<Prefix>) =>
      Math.max(-1, ...[...prefixes].filter((prefix) => prefix.covers(host)).map(({ length }) => length));
    const closed = this.#forwarding.kernelRoutes().filter(({ via }) => via === 'nowhere');
    return longest(this.#own.values()) > longest(closed.map(({ prefix }) => prefix)) ? 'here' : undefined;
  }

  link(egress: NodeNumber): number | undefined {
    return this.#table.hops(egress)?.[0];
  }
}

/** A packet on its way. */
export interface Packet {
  readonly address: Uint8Array;
  /** The nodes it was sealed by, the sender first. */
  readonly sealedBy: number[];
  /** The node it is sealed for. */
  egress: NodeNumber;
}

/**
 * Packets that go where the product sends them: sealed at the source for the node to which the longest prefix leads,
 * relayed by that node's number alone, and at that node given to its kernel, which delivers them or sends them into the
 * overlay again.
 */
export class PacketWalk {
  readonly #hosts: readonly Host[];
  readonly #numberOf: (node: number) => NodeNumber;

  constructor(network: Prefix, nodes: number, numberOf: (node: number) => NodeNumber) {
    this.#hosts = Array.from({ length: nodes }, () => new Host(network));
    this.#numberOf = numberOf;
  }

  changed(node: number, changes: readonly RouteChange[]): void {
    this.#hosts[node]!.apply(changes);
  }

  /** A program on the node, or a machine behind it, sends a packet: where to first. */
  sent(node: number, packet: Packet): number | 'delivered' | 'dropped' {
    const egress = this.#hosts[node]!.egress(packet.address);
    if (egress === 'here') return 'delivered';
    if (egress === undefined) return 'dropped';
    packet.egress = egress;
    packet.sealedBy.push(node);
    return this.#hosts[node]!.link(egress) ?? 'dropped';
  }

  /** It has come to this node: the link it goes on by, or its end. */
  arrived(node: number, packet: Packet): number | 'delivered' | 'dropped' {
    if (packet.egress === this.#numberOf(node)) return this.sent(node, packet);
    return this.#hosts[node]!.link(packet.egress) ?? 'dropped';
  }
}

function wordsOf(address: Uint8Array): AddressWords {
  const words = new AddressWords();
  words.read(new DataView(address.buffer, address.byteOffset, 16), 0);
  return words;
}
