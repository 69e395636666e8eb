import type { Tuning } from '../../src/routing/tuning.js';

/** An edge of the oracle's graph. */
export interface CostEdge {
  readonly to: number;
  readonly cost: number;
}

/** The edges walked backwards: of each node the ways into it, `to` being where they come from. */
export function reversed(edges: readonly (readonly CostEdge[])[]): CostEdge[][] {
  const back: CostEdge[][] = edges.map(() => []);
  edges.forEach((ways, from) => {
    for (const { to, cost } of ways) back[to]!.push({ to: from, cost });
  });
  return back;
}

/** What a way costs, in whole numbers, that goes over a link to a node whose own way costs so much; more than that. */
export type Extend = (cost: number, link: number) => number;

const sum: Extend = (cost, link) => cost + link;

/**
 * The most that a way may cost which hysteresis keeps, whatever its neighbours offer: a node stays on a way of metric m
 * while no neighbour offers one with metric + switchMargin + switchShare · m below m (src/routing/selection.ts). Taken
 * along the way that makes it least, it is the bound of a whole network at rest, in which every neighbour's own way may
 * be as long.
 */
export function defended({ switchMargin, switchShare }: Pick<Tuning, 'switchMargin' | 'switchShare'>): Extend {
  return (cost, link) => Math.floor((cost + link + switchMargin) / (1 - switchShare) + 1e-9);
}

/** Shared by all costs that no way has. */
const none: number[] = [];

/**
 * Least cost from every node to the target, by Dijkstra with a bucket for each cost: the slow and certain answer that
 * routes at rest are compared with. `back[n]` are the ways into n. Unreachable: Infinity.
 */
export function shortestTo(target: number, back: readonly (readonly CostEdge[])[], extend = sum): Float64Array {
  const best = new Float64Array(back.length).fill(Number.POSITIVE_INFINITY);
  best[target] = 0;
  const buckets: number[][] = [[target]];
  for (let cost = 0; cost < buckets.length; cost++) {
    for (const node of buckets[cost]!) {
      if (best[node] !== cost) continue;
      for (const edge of back[node]!) {
        const next = extend(cost, edge.cost);
        if (next >= best[edge.to]!) continue;
        best[edge.to] = next;
        while (buckets.length <= next) buckets.push(none);
        if (buckets[next] === none) buckets[next] = [];
        buckets[next]!.push(edge.to);
      }
    }
  }
  return best;
}
