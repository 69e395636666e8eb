import { type NodeNumber, nodeNumberOf } from '../addr/node-number.js';
import type { Prefix } from '../addr/prefix.js';
import type { RouteChange, RouteChoice } from '../routing/contract.js';
import { isDefaultRoute } from '../routing/interface.js';
import type { NodeRoute, PlaneCommand, PrefixRoute } from '../tunnel/plane/contract.js';

/** Interfaces of the speaker from here on are LANs; below are tunnels, numbered as their links. */
export const firstLanInterface = 0x1_0000;

/**
 * How the kernel reaches a LAN prefix; `overlay`: into the TUN; `nowhere`: not now, and not by a shorter prefix either (never
 * of a default route).
 */
export type KernelRoute =
  | { readonly prefix: Prefix; readonly via: 'overlay' | 'nowhere' }
  | { readonly prefix: Prefix; readonly via: 'lan'; readonly interface: number; readonly gateway: Uint8Array };

export interface ForwardingChange {
  readonly command: PlaneCommand | undefined;
  /** True when `kernelRoutes` has changed. */
  readonly kernelChanged: boolean;
}

/**
 * What the speaker chose, as the plane and the kernel want it: overlay prefixes become next hops of a node number, LAN
 * prefixes the node to seal for or a router on one of our LANs.
 *
 *   prefix of a node   -> NodeRoute   { node, hops: links, best first }
 *   prefix of a LAN    -> PrefixRoute { prefix, egress }  and a kernel route
 *   a network we are connected to -> PrefixRoute { prefix, egress: undefined }: the kernel has its own route
 */
export class Forwarding {
  readonly #network: Prefix;
  readonly #hops = new Map<NodeNumber, readonly RouteChoice[]>();
  readonly #kernel = new Map<string, KernelRoute>();
  readonly #linkUses = new Map<number, number>();

  constructor(network: Prefix) {
    this.#network = network;
  }

  /** Choices for a node's own prefix, best first; empty when it cannot be reached. */
  choices(node: NodeNumber): readonly RouteChoice[] {
    return this.#hops.get(node) ?? [];
  }

  /** True when a selected route leaves by this link: its liveness is then watched closely. */
  isUsed(link: number): boolean {
    return (this.#linkUses.get(link) ?? 0) > 0;
  }

  /** Nodes that can be reached now. */
  reachable(): Iterable<NodeNumber> {
    return this.#hops.keys();
  }

  /** LAN prefixes as the kernel is to hold them. */
  kernelRoutes(): readonly KernelRoute[] {
    return [...this.#kernel.values()];
  }

  apply(changes: readonly RouteChange[]): ForwardingChange {
    const nodes: NodeRoute[] = [];
    const prefixes: PrefixRoute[] = [];
    const removedPrefixes: { prefix: Uint8Array; length: number }[] = [];
    let kernelChanged = false;
    for (const change of changes) {
      const node = this.#nodeOf(change.prefix);
      if (node !== undefined) {
        this.#setHops(node, change.choices);
        nodes.push({ node, hops: change.choices.filter(isTunnel).map((choice) => choice.interface) });
        continue;
      }
      kernelChanged = true;
      const { bytes: prefix, length } = change.prefix;
      const best = change.choices[0];
      if (change.own) {
        prefixes.push({ prefix, length, egress: undefined });
        this.#kernel.delete(change.prefix.key);
      } else if (best) {
        prefixes.push({ prefix, length, egress: best.egress });
        this.#kernel.set(change.prefix.key, kernelRoute(change.prefix, best));
      } else if (change.held) {
        // Node 0 is never assigned and has no next hop: packets are dropped rather than follow a shorter prefix.
        prefixes.push({ prefix, length, egress: 0 });
        // Of a default route nothing is shorter, but the machine's own way out would be hidden, with all it leads to.
        if (isDefaultRoute(change.prefix)) this.#kernel.delete(change.prefix.key);
        else this.#kernel.set(change.prefix.key, { prefix: change.prefix, via: 'nowhere' });
      } else {
        removedPrefixes.push({ prefix, length });
        this.#kernel.delete(change.prefix.key);
      }
    }
    const any = nodes.length + prefixes.length + removedPrefixes.length > 0;
    return { command: any ? { kind: 'patchRoutes', nodes, prefixes, removedPrefixes } : undefined, kernelChanged };
  }

  #nodeOf(prefix: Prefix): NodeNumber | undefined {
    return prefix.length === 64 && !prefix.isIpv4 ? nodeNumberOf(this.#network, prefix.bytes) : undefined;
  }

  #setHops(node: NodeNumber, choices: readonly RouteChoice[]): void {
    const count = (choice: RouteChoice | undefined, by: number) => {
      if (choice) this.#linkUses.set(choice.interface, (this.#linkUses.get(choice.interface) ?? 0) + by);
    };
    count(this.#hops.get(node)?.[0], -1);
    count(choices[0], 1);
    if (choices.length > 0) this.#hops.set(node, choices);
    else this.#hops.delete(node);
  }
}

function isTunnel(choice: RouteChoice): boolean {
  return choice.interface < firstLanInterface;
}

function kernelRoute(prefix: Prefix, best: RouteChoice): KernelRoute {
  return isTunnel(best)
    ? { prefix, via: 'overlay' }
    : { prefix, via: 'lan', interface: best.interface, gateway: best.nextHop };
}
