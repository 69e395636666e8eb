import { type TopologyLimits, usualLimits } from '../../src/mesh/topology.js';
import { seededRandom } from '../../src/random.js';
import type { Graph } from './graph.js';
import { LinkNetwork } from './link-network.js';
import { Rewiring } from './rewiring.js';
import { ShortestWays } from './shortest-ways.js';
import { UnderlayModel } from './underlay-model.js';

/** Average hops of re6stnet's own simulation: random graph, ten own tunnels. */
export const re6stnetHops: ReadonlyMap<number, number> = new Map([
  [100, 1.82],
  [400, 2.31],
  [1600, 2.77],
  [6400, 3.23],
]);

export interface HopFigures {
  readonly nodes: number;
  readonly hops: number;
  readonly meanDegree: number;
  readonly largestDegree: number;
}

/** The rule without its extra tunnels: ten own ones, whoever chooses a node. */
export const tenAndNoMore: TopologyLimits = { ...usualLimits, leastTunnels: 0 };

/** Average hops over all pairs (up to 1600 sources) after so many simulated seconds. */
export function measureHops(nodes: number, seed: number, seconds: number, limits?: TopologyLimits): HopFigures {
  const network = run(nodes, seed, seconds, limits);
  const graph = network.graph();
  return {
    nodes,
    hops: graph.meanHops(Math.min(nodes, 1600)),
    meanDegree: graph.meanDegree,
    largestDegree: network.largestDegree,
  };
}

export interface CutFigures {
  readonly nodes: number;
  readonly samples: number;
  readonly cutOff: number;
  readonly meanDegree: number;
  readonly degrees: readonly number[];
}

/** The chance that two survivors cannot talk once half of the nodes is dead, before anybody makes a new tunnel. */
export function measureCut(
  nodes: number,
  seed: number,
  seconds: number,
  samples: number,
  limits?: TopologyLimits,
): CutFigures {
  const graph = run(nodes, seed, seconds, limits).graph();
  const degrees = Array.from({ length: nodes }, (_, node) => graph.degree(node)).sort((a, b) => a - b);
  const cutOff = graph.cutOff(samples, seededRandom(seed));
  return { nodes, samples, cutOff, meanDegree: graph.meanDegree, degrees };
}

/**
 * How long the ways are that the product's routing takes, after some time, in milliseconds of round trip, and as
 * multiples of the optimum over all links.
 */
export interface DelayRow {
  readonly seconds: number;
  readonly allPairs: number;
  readonly allPairsRatio: number;
  readonly withTraffic: number;
  readonly withTrafficRatio: number;
  readonly meanDegree: number;
}

export interface DelayFigures {
  readonly nodes: number;
  readonly flows: number;
  readonly direct: number;
  readonly optimum: number;
  readonly weft: readonly DelayRow[];
  readonly re6stnet: readonly DelayRow[];
}

export interface DelayOptions {
  readonly nodes: number;
  readonly seed: number;
  readonly flows: number;
  /** When to look, in simulated seconds. */
  readonly at: readonly number[];
  /** Rounds of 300 s of the rule to compare with. */
  readonly rounds: number;
}

export function measureDelays({ nodes, seed, flows, at, rounds }: DelayOptions): DelayFigures {
  const model = new UnderlayModel(nodes, seed);
  const rtt = (a: number, b: number) => model.rtt(a, b);
  const best = model.optimum();
  const random = seededRandom(seed ^ 0xf10e);
  const pairs = Array.from({ length: flows }, () => {
    const from = random.below(nodes);
    return [from, (from + 1 + random.below(nodes - 1)) % nodes] as const;
  });
  let direct = 0;
  let optimum = 0;
  for (let a = 0; a < nodes; a++) {
    for (let b = 0; b < nodes; b++) {
      if (a === b) continue;
      direct += rtt(a, b);
      optimum += best(a, b);
    }
  }
  const all = nodes * (nodes - 1);
  const pairsOptimum = pairs.reduce((sum, [a, b]) => sum + best(a, b), 0);
  const row = (seconds: number, graph: Graph): DelayRow => {
    const ways = new ShortestWays(graph);
    let allPairs = 0;
    for (let a = 0; a < nodes; a++) {
      ways.from(a);
      allPairs += ways.sumAlong(rtt);
    }
    let withTraffic = 0;
    for (const [a, b] of pairs) {
      ways.from(a, b);
      const way = ways.wayTo(b);
      for (let i = 1; i < way.length; i++) withTraffic += rtt(way[i - 1]!, way[i]!);
    }
    return {
      seconds,
      allPairs: allPairs / all,
      allPairsRatio: allPairs / optimum,
      withTraffic: withTraffic / pairs.length,
      withTrafficRatio: withTraffic / pairsOptimum,
      meanDegree: graph.meanDegree,
    };
  };
  const network = new LinkNetwork(nodes, seed, rtt, pairs);
  let now = 0;
  const weft = at.map((seconds) => {
    network.run(seconds - now);
    now = seconds;
    return row(seconds, network.graph());
  });
  const rewiring = new Rewiring(nodes, seed, rtt);
  const re6stnet = [row(0, rewiring.graph())];
  for (let round = 1; round <= rounds; round++) {
    rewiring.round();
    re6stnet.push(row(300 * round, rewiring.graph()));
  }
  return { nodes, flows, direct: direct / all, optimum: optimum / all, weft, re6stnet };
}

function run(nodes: number, seed: number, seconds: number, limits?: TopologyLimits): LinkNetwork {
  const model = new UnderlayModel(nodes, seed);
  const network = new LinkNetwork(nodes, seed, (a, b) => model.rtt(a, b), [], limits);
  network.run(seconds);
  return network;
}
