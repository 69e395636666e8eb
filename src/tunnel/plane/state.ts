import { nodePrefix } from '../../addr/node-number.js';
import { Prefix } from '../../addr/prefix.js';
import type { LinkId, PlaneCommand } from './contract.js';
import { ForwardingTable, ownPrefix } from './forwarding-table.js';
import type { Link, ReceiveLane, Session } from './link.js';
import type { Moment } from './moment.js';
import type { AddressWords } from './packet.js';

/** How many relays a frame may pass. */
export const firstHopLimit = 32;

type Configuration = Extract<PlaneCommand, { kind: 'configure' }>;

/** A way for packets to a node: the keys they are sealed with, and the tunnel that carries them. */
export class Way {
  /** Whose session seals; the same as `via` when the node is our neighbour on this way. */
  link: Link | undefined;
  session: Session | undefined;
  via: Link | undefined;
  viaSession: Session | undefined;
  /** How many relays a frame may pass, where any are on the way. */
  hopLimit = firstHopLimit;
  /** Keep the packet's head, so that a relay's notice can be answered. */
  keepHead = false;
}

/** What one worker knows: links, sessions by receiver index, where packets go, and who we are. */
export class PlaneState {
  readonly links = new Map<LinkId, Link>();
  readonly lanes = new Map<number, ReceiveLane>();
  readonly table = new ForwardingTable();
  readonly #byNode = new Map<number, Link[]>();
  node = 0;
  /** The network's prefix, for the addresses of nodes. */
  network: Prefix | undefined;
  relay: 'yes' | 'limited' | 'no' = 'no';
  #networkA = -1;
  #networkB = -1;
  #numberMask = 0;

  configure(command: Configuration): void {
    const network = new Prefix(command.networkPrefix, command.networkPrefixLength);
    this.network = network;
    const view = new DataView(network.bytes.buffer);
    this.#networkA = view.getInt32(0);
    this.#networkB = view.getInt32(4);
    this.#numberMask = 2 ** (64 - network.length) - 1;
    if (this.node !== 0) this.table.removePrefix(nodePrefix(network, this.node).bytes, 64);
    this.node = command.node;
    this.table.setPrefix({ prefix: nodePrefix(network, this.node).bytes, length: 64, egress: undefined });
    this.relay = command.relay;
  }

  addLink(link: Link): void {
    this.links.set(link.id, link);
    const same = this.#byNode.get(link.node);
    if (same) same.push(link);
    else this.#byNode.set(link.node, [link]);
  }

  removeLink(link: Link): void {
    this.links.delete(link.id);
    const rest = this.#byNode.get(link.node)?.filter((other) => other !== link) ?? [];
    if (rest.length > 0) this.#byNode.set(link.node, rest);
    else this.#byNode.delete(link.node);
  }

  linksTo(node: number): readonly Link[] {
    return this.#byNode.get(node) ?? [];
  }

  isOverlay(address: AddressWords): boolean {
    return address.a === this.#networkA && (address.b & ~this.#numberMask) === this.#networkB;
  }

  /** The node that answers for an address: a number, `ownPrefix`, or `noPrefix`. */
  nodeFor(address: AddressWords): number {
    if (this.isOverlay(address)) {
      const number = address.b & this.#numberMask;
      // The reserved /64 of number 0 holds portable addresses: prefixes, longest first (docs/protocol/addr.md).
      if (number !== 0) return number === this.node ? ownPrefix : number;
    }
    return this.table.lookup(address);
  }

  /** Finds the best way to a node now; false when none can be used. The sealing session may still be missing. */
  findWay(node: number, now: Moment, way: Way): boolean {
    way.link = undefined;
    way.session = undefined;
    way.hopLimit = firstHopLimit;
    way.keepHead = false;
    const via = this.nextHop(node, now, undefined);
    if (!via) return false;
    way.via = via;
    way.viaSession = via.sending(now);
    if (via.node === node) {
      way.link = via;
      way.session = way.viaSession;
      return true;
    }
    for (const link of this.linksTo(node)) {
      const session = link.sending(now);
      if (session) {
        way.link = link;
        way.session = session;
        break;
      }
    }
    return true;
  }

  /** The first tunnel towards a node that can carry a frame, one not suspected before one that is, never `except`. */
  nextHop(node: number, now: Moment, except: Link | undefined): Link | undefined {
    const hops = this.table.hops(node);
    if (!hops) return undefined;
    let second: Link | undefined;
    for (const id of hops) {
      const link = this.links.get(id);
      if (!link || link === except || !link.address || !link.sending(now)) continue;
      if (!link.shared.suspected) return link;
      second ??= link;
    }
    return second;
  }
}
