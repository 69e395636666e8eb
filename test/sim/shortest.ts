/** An edge of the oracle's graph. */
export interface CostEdge {
  readonly to: number;
  readonly cost: number;
}

/**
 * Least cost from every node to the target, by Dijkstra with a plain heap of (cost, node) numbers: the slow and certain
 * answer that routes at rest are compared with. `edges[n]` are the ways out of n. Unreachable: Infinity.
 */
export function shortestTo(target: number, edges: readonly (readonly CostEdge[])[]): Float64Array {
  const best = new Float64Array(edges.length).fill(Number.POSITIVE_INFINITY);
  // Costs are walked backwards: edge n -> to is relaxed from `to`.
  const back: CostEdge[][] = edges.map(() => []);
  edges.forEach((ways, from) => {
    for (const { to, cost } of ways) back[to]!.push({ to: from, cost });
  });
  best[target] = 0;
  const buckets: number[][] = [[target]];
  for (let cost = 0; cost < buckets.length; cost++) {
    for (const node of buckets[cost] ?? []) {
      if (best[node] !== cost) continue;
      for (const edge of back[node]!) {
        const next = cost + edge.cost;
        if (next >= best[edge.to]!) continue;
        best[edge.to] = next;
        let bucket = buckets[next];
        if (!bucket) {
          bucket = [];
          while (buckets.length < next) buckets.push([]);
          buckets[next] = bucket;
        }
        bucket.push(edge.to);
      }
    }
  }
  return best;
}
