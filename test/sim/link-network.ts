import { MeshMessages } from '../../src/mesh/messages.js';
import { type NodeList, Topology, type TopologyEffect, type TopologyLimits } from '../../src/mesh/topology.js';
import { seededRandom } from '../../src/random.js';
import { LinkCost } from '../../src/routing/link-cost.js';
import type { Metric } from '../../src/routing/metric.js';
import { type Millis, minute, second } from '../../src/time.js';
import { dialPatience } from '../../src/tunnel/attempt.js';
import { Graph } from './graph.js';
import { ShortestWays } from './shortest-ways.js';

/** A simulated node's directory: everybody else. */
class Others implements NodeList {
  readonly #self: number;
  readonly size: number;

  constructor(self: number, nodes: number) {
    this.#self = self;
    this.size = nodes - 1;
  }

  at(index: number): number {
    return index < this.#self ? index : index + 1;
  }

  has(node: number): boolean {
    return node !== this.#self && node >= 0 && node <= this.size;
  }

  add(): void {}
  remove(): void {}
}

interface Node {
  readonly topology: Topology;
  readonly messages: MeshMessages;
  readonly neighbours: Set<number>;
}

/** What the product's routing takes a tunnel of this round trip for, once it is measured. */
export function costOf(rtt: Millis): Metric {
  const link = new LinkCost();
  link.measured(rtt, 0, 0, 0);
  return link.cost;
}

/** A pair with traffic, which takes the way of least cost. */
type Flow = readonly [number, number];
const flowsLookAgain: Millis = 2 * minute;

/**
 * The product's own Topology at every node, on a virtual clock of whole seconds, and nothing else of the product: a
 * dial succeeds within the second where the other side admits it, is silence otherwise, and the round trip is known at
 * once.
 */
export class LinkNetwork {
  readonly nodes: readonly Node[];
  readonly #rtt: (a: number, b: number) => Millis;
  readonly #flows: readonly Flow[];
  #now: Millis = 0;
  #nextLook: Millis = 0;
  #unanswered: { readonly from: number; readonly to: number; readonly until: Millis }[] = [];
  dials = 0;
  hangUps = 0;
  /** At any moment. */
  largestDegree = 0;

  constructor(
    count: number,
    seed: number,
    rtt: (a: number, b: number) => Millis,
    flows: readonly Flow[] = [],
    limits?: TopologyLimits,
  ) {
    const random = seededRandom(seed);
    this.#rtt = rtt;
    this.#flows = flows;
    this.nodes = Array.from({ length: count }, (_, number) => {
      const messages = new MeshMessages();
      return {
        messages,
        topology: new Topology(random, messages, new Others(number, count), limits),
        neighbours: new Set<number>(),
      };
    });
  }

  /** On for so many simulated seconds; in each, the nodes take their turns. */
  run(seconds: number): void {
    for (const end = this.#now + seconds * second; this.#now < end; this.#now += second) {
      if (this.#flows.length > 0 && this.#now >= this.#nextLook) this.#sendTraffic();
      this.#knockAgain();
      this.nodes.forEach((node, number) => {
        if (node.topology.deadline() <= this.#now) this.#perform(number, node.topology.tick(this.#now));
      });
    }
  }

  /** With the cost of each tunnel as its length. */
  graph(): Graph {
    return new Graph(
      this.nodes.map((node) => node.neighbours),
      (a, b) => costOf(this.#rtt(a, b)),
    );
  }

  #perform(number: number, effects: readonly TopologyEffect[]): void {
    for (const effect of effects) {
      if (effect.kind === 'dial') this.#dial(number, effect.node);
      if (effect.kind === 'hangUp') this.#hangUp(number, effect.node);
      if (effect.kind === 'sendMesh') {
        const sender = { node: number, neighbour: true };
        this.nodes[effect.to]!.messages.handle(effect.bytes, sender, this.#now);
      }
    }
  }

  #dial(from: number, to: number): void {
    this.dials++;
    if (!this.#knock(from, to)) this.#unanswered.push({ from, to, until: this.#now + dialPatience });
  }

  /** Who is not admitted hears nothing, and knocks again until its patience is over (src/tunnel/attempt.ts). */
  #knockAgain(): void {
    const waiting = this.#unanswered;
    this.#unanswered = [];
    for (const dial of waiting) {
      if (this.nodes[dial.from]!.neighbours.has(dial.to)) continue;
      if (this.#now >= dial.until) this.#tell(dial.from, { kind: 'dialFailed', node: dial.to });
      else if (!this.#knock(dial.from, dial.to)) this.#unanswered.push(dial);
    }
  }

  /** True when a tunnel stands by it. */
  #knock(from: number, to: number): boolean {
    if (!this.nodes[to]!.topology.admits(from, this.#now)) {
      this.#tell(to, { kind: 'knocked', node: from });
      return false;
    }
    const rtt = this.#rtt(from, to);
    this.nodes[from]!.neighbours.add(to);
    this.nodes[to]!.neighbours.add(from);
    for (const [one, two, own] of [
      [from, to, true],
      [to, from, false],
    ] as const) {
      if (!this.nodes[one]!.neighbours.has(two)) break; // the other one has closed it at once
      this.#tell(one, { kind: 'tunnelUp', node: two, own });
      this.#tell(one, { kind: 'measured', node: two, rtt });
    }
    for (const one of [from, to]) this.largestDegree = Math.max(this.largestDegree, this.nodes[one]!.neighbours.size);
    return true;
  }

  #hangUp(from: number, to: number): void {
    this.hangUps++;
    this.nodes[from]!.neighbours.delete(to);
    this.nodes[to]!.neighbours.delete(from);
    this.#tell(to, { kind: 'tunnelDown', node: from });
  }

  #tell(to: number, event: Parameters<Topology['handle']>[0]): void {
    this.#perform(to, this.nodes[to]!.topology.handle(event, this.#now));
  }

  /** Every flow on its way of least cost: the tunnels on it are in use, and its source wants a direct one. */
  #sendTraffic(): void {
    this.#nextLook = this.#now + flowsLookAgain;
    const ways = new ShortestWays(this.graph());
    for (const [from, to] of this.#flows) {
      ways.from(from, to);
      if (ways.length[to] === Number.POSITIVE_INFINITY) continue;
      const way = ways.wayTo(to);
      way.slice(1).forEach((next, i) => {
        this.#tell(way[i]!, { kind: 'tunnelUsed', node: next });
        this.#tell(next, { kind: 'tunnelUsed', node: way[i]! });
      });
      if (way.length > 2) this.#tell(from, { kind: 'flowBusy', node: to });
    }
  }
}
