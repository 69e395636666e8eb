import type { Endpoint } from '../addr/endpoint.js';
import type { NodeNumber } from '../addr/node-number.js';
import { type Millis, never, second } from '../time.js';

/** Nodes reached over TCP at once: enough to be in the network; the others are then reached through them. */
const maxBridges = 3;
const maxTried = 4;
/** How long UDP alone is tried, and the pause after a failed bridge. */
const udpAlone: Millis = second;
const retryPause: Millis = 10 * second;

export interface Candidate {
  readonly node: NodeNumber;
  readonly endpoints: readonly Endpoint[];
}

/**
 * When to go over TCP: while there are nodes to reach and no tunnel stands over UDP for some seconds, and then for a few nodes.
 * Bridges end on our own loopback (daemon/tcp-bridge.ts), which no other endpoint ever does.
 */
export class Fallback {
  readonly #asked = new Set<NodeNumber>();
  readonly #notBefore = new Map<NodeNumber, Millis>();
  /** When to look again; `never` while a tunnel stands over UDP. */
  #dueAt: Millis = never;

  /** The bridges to open now. `standing`: endpoints of all tunnels; `trying`: what is being dialled. */
  due(now: Millis, standing: readonly Endpoint[], trying: readonly Candidate[]): Candidate[] {
    if (trying.length === 0 || standing.some((endpoint) => !isBridged(endpoint))) {
      this.#dueAt = never;
      return [];
    }
    if (this.#dueAt === never) this.#dueAt = now + udpAlone;
    if (now < this.#dueAt) return [];
    this.#dueAt = now + second;
    const room = maxBridges - standing.length - this.#asked.size;
    const free = trying.filter(({ node }) => !this.#asked.has(node) && now >= (this.#notBefore.get(node) ?? 0));
    return free.slice(0, Math.max(0, room)).map(({ node, endpoints }) => {
      this.#asked.add(node);
      this.#notBefore.set(node, now + retryPause);
      return { node, endpoints: endpoints.slice(0, maxTried) };
    });
  }

  answered(node: NodeNumber): void {
    this.#asked.delete(node);
  }

  deadline(): Millis {
    return this.#dueAt;
  }
}

/** True for the loopback end of a bridge. */
export function isBridged(endpoint: Endpoint): boolean {
  return endpoint.address.startsWith('127.');
}
