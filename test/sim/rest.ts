import { none, own, type Via } from './next-hops.js';
import { type CostEdge, type Extend, reversed, shortestTo } from './shortest.js';

/** How a network at rest compares with the oracle. */
export interface RestReport {
  readonly pairs: number;
  /** Pairs joined by links of which the node knows no route. */
  readonly starved: number;
  /** Pairs that no link joins and that still have a route. */
  readonly ghosts: number;
  readonly loops: number;
  /** Pairs whose way costs more than the least. */
  readonly longer: number;
  /** Pairs whose way costs more than hysteresis may keep (shortest.ts, `defended`). */
  readonly beyond: number;
  /** Pairs, of those looked at, whose node believes in another metric than its way costs. */
  readonly untrue: number;
  /** The largest cost of a way over the least. */
  readonly worstStretch: number;
  readonly meanHops: number;
  /** The first pair with which something is wrong. */
  readonly wrong?: WrongPair;
}

/** A node, and the target that it has no way to, or the wrong one. */
export interface WrongPair {
  readonly node: number;
  readonly target: number;
}

export interface RestOptions {
  /** What a way may cost that hysteresis keeps; without, nothing but the least. */
  readonly mostKept?: Extend;
  /** The metric in which the node believes; undefined where nobody knows. */
  readonly metricOf?: (node: number, target: number) => number | undefined;
}

/**
 * Follows the next hops of every node to every target and compares what the way costs with Dijkstra (invariants h and j).
 * `viaOf(node, target)` is the node's next hop for the target's prefix; `edges` are the live links with their costs.
 */
export function compareAtRest(
  edges: readonly (readonly CostEdge[])[],
  targets: readonly number[],
  viaOf: (node: number, target: number) => Via,
  { mostKept, metricOf }: RestOptions = {},
): RestReport {
  const counts = { pairs: 0, starved: 0, ghosts: 0, loops: 0, longer: 0, beyond: 0, untrue: 0 };
  const report = { ...counts, worstStretch: 1, meanHops: 0 };
  let wrong: WrongPair | undefined;
  const back = reversed(edges);
  let hopsInAll = 0;
  for (const target of targets) {
    const least = shortestTo(target, back);
    const most = mostKept && shortestTo(target, back, mostKept);
    const known = new Map<number, { cost: number; hops: number } | undefined>();
    for (let node = 0; node < edges.length; node++) {
      if (node === target) continue;
      report.pairs++;
      const walked = walk(node, target, edges, viaOf, known);
      const reachable = Number.isFinite(least[node]!);
      const before = wrongIn(report);
      if (walked === 'loop') report.loops++;
      else if (!walked) report.starved += reachable ? 1 : 0;
      else if (!reachable) report.ghosts++;
      else {
        hopsInAll += walked.hops;
        const stretch = walked.cost / least[node]!;
        if (stretch > 1) report.longer++;
        if (walked.cost > (most ?? least)[node]!) report.beyond++;
        if ((metricOf?.(node, target) ?? walked.cost) !== walked.cost) report.untrue++;
        report.worstStretch = Math.max(report.worstStretch, stretch);
      }
      if (wrongIn(report) > before) wrong ??= { node, target };
    }
  }
  return { ...report, meanHops: hopsInAll / Math.max(1, report.pairs), ...(wrong ? { wrong } : {}) };
}

function wrongIn({ loops, starved, ghosts, beyond, untrue }: Omit<RestReport, 'wrong'>): number {
  return loops + starved + ghosts + beyond + untrue;
}

type Walked = { cost: number; hops: number } | undefined;

function walk(
  from: number,
  target: number,
  edges: readonly (readonly CostEdge[])[],
  viaOf: (node: number, target: number) => Via,
  known: Map<number, Walked>,
): Walked | 'loop' {
  const path: { node: number; cost: number }[] = [];
  let node = from;
  let end: Walked;
  for (;;) {
    if (path.length > edges.length) return 'loop';
    if (known.has(node)) {
      end = known.get(node);
      break;
    }
    const via = viaOf(node, target);
    if (via === own) {
      end = { cost: 0, hops: 0 };
      known.set(node, end);
      break;
    }
    const edge = via === none ? undefined : edges[node]!.find((way) => way.to === via);
    if (!edge) {
      known.set(node, undefined);
      break;
    }
    path.push({ node, cost: edge.cost });
    node = via;
  }
  for (const step of path.reverse()) {
    end = end && { cost: end.cost + step.cost, hops: end.hops + 1 };
    known.set(step.node, end);
  }
  return end;
}
