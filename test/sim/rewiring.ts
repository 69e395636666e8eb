import { type Random, seededRandom } from '../../src/random.js';
import type { Millis } from '../../src/time.js';
import { Graph } from './graph.js';
import { costOf } from './link-network.js';
import { ShortestWays } from './shortest-ways.js';

const ownTunnels = 10;
const mostServed = 20;

/**
 * re6stnet's rule, to compare with: ten own tunnels to nodes drawn at random, at most twenty of others; in each round
 * (300 s) every node gives up the own tunnel with the fewest routes through it and makes a new one at random.
 */
export class Rewiring {
  readonly #rtt: (a: number, b: number) => Millis;
  readonly #random: Random;
  readonly #own: Set<number>[];
  readonly #served: Set<number>[];

  constructor(nodes: number, seed: number, rtt: (a: number, b: number) => Millis) {
    this.#rtt = rtt;
    this.#random = seededRandom(seed);
    this.#own = Array.from({ length: nodes }, () => new Set());
    this.#served = Array.from({ length: nodes }, () => new Set());
    for (let node = 0; node < nodes; node++) for (let i = 0; i < ownTunnels; i++) this.#make(node);
  }

  /** With the cost of each tunnel as its length: re6stnet's own slope. */
  graph(): Graph {
    return new Graph(
      this.#own.map((own, node) => [...own, ...this.#served[node]!]),
      (a, b) => costOf(this.#rtt(a, b)),
    );
  }

  round(): void {
    const graph = this.graph();
    const ways = new ShortestWays(graph);
    const least = this.#own.map((own, node) => {
      ways.from(node);
      const routes = routesThrough(ways, node);
      return [...own].sort((a, b) => (routes.get(a) ?? 0) - (routes.get(b) ?? 0))[0]!;
    });
    least.forEach((far, node) => {
      this.#own[node]!.delete(far);
      this.#served[far]!.delete(node);
      this.#make(node);
    });
  }

  #make(node: number): void {
    for (;;) {
      const other = this.#random.below(this.#own.length);
      const isNeighbour = this.#own[node]!.has(other) || this.#served[node]!.has(other);
      if (other === node || isNeighbour || this.#served[other]!.size >= mostServed) continue;
      this.#own[node]!.add(other);
      this.#served[other]!.add(node);
      return;
    }
  }
}

/** Of each neighbour of the source: how many nodes it is the next hop to. */
function routesThrough(ways: ShortestWays, source: number): Map<number, number> {
  const nodes = ways.before.length;
  const firstHop = new Int32Array(nodes).fill(-1);
  const find = (node: number): number => {
    if (firstHop[node] === -1) firstHop[node] = ways.before[node] === source ? node : find(ways.before[node]!);
    return firstHop[node]!;
  };
  const routes = new Map<number, number>();
  for (let node = 0; node < nodes; node++) {
    if (node === source || ways.before[node] === -1) continue;
    const hop = find(node);
    routes.set(hop, (routes.get(hop) ?? 0) + 1);
  }
  return routes;
}
