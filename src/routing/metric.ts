/** 0 to 65534, or `infinity` (RFC 8966 §3.5.2). A cost is a metric greater than 0. */
export type Metric = number;

/** Unreachable; as an Update's metric, a retraction. */
export const infinity: Metric = 0xffff;

/**
 * The metric of a route announced at `metric` over a link of `cost`: their sum. Strictly monotonic: a sum beyond 65534 is
 * infinite, never clamped to a finite value, or two bad links would look no worse than one (RFC 8966 §3.5.2).
 */
export function addMetric(metric: Metric, cost: Metric): Metric {
  const sum = metric + Math.max(cost, 1);
  return sum >= infinity ? infinity : sum;
}
