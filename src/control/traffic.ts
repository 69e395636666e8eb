import type { NodeNumber } from '../addr/node-number.js';
import { type Millis, second } from '../time.js';
import type { LinkCounters, LinkId } from '../tunnel/plane/contract.js';

/** Octets a second, both ways together, from which on a flow is worth a tunnel of its own: 1 Mbit/s. */
const busyRate = 125_000;

/** idle: no packet; busy: on average of the time between two looks at least `busyRate`. */
export type Use = 'idle' | 'used' | 'busy';

interface Seen {
  readonly carried: number;
  readonly octets: number;
}

/** What the links carried between two looks at the plane's counters; nothing is done per packet. */
export class Traffic {
  #seen: ReadonlyMap<LinkId, Seen> = new Map();
  #lookedAt: Millis = Number.NEGATIVE_INFINITY;

  /** Looks at all links there are, with the node at their other end. */
  look(
    links: readonly (readonly [LinkId, NodeNumber])[],
    counters: (link: LinkId) => LinkCounters,
    now: Millis,
  ): ReadonlyMap<NodeNumber, Use> {
    const seconds = Math.max(1, (now - this.#lookedAt) / second);
    const seen = new Map<LinkId, Seen>();
    const uses = new Map<NodeNumber, Use>();
    for (const [link, node] of links) {
      const { carried, txBytes, rxBytes } = counters(link);
      const octets = txBytes + rxBytes;
      const before = this.#seen.get(link);
      // Numbers of links come again: then the counters begin anew.
      const isSame = before !== undefined && before.octets <= octets && before.carried <= carried;
      const moved = octets - (isSame ? before.octets : 0);
      const isUsed = carried > (isSame ? before.carried : 0);
      uses.set(node, moved >= busyRate * seconds ? 'busy' : isUsed ? 'used' : 'idle');
      seen.set(link, { carried, octets });
    }
    this.#seen = seen;
    this.#lookedAt = now;
    return uses;
  }
}
