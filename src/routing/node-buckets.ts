import type { NodeNumber } from '../addr/node-number.js';
import { Bucket } from '../bucket.js';
import type { Millis } from '../time.js';

/** Of what somebody may have more only as time goes by. */
export interface Allowance {
  /** True when one may pass now; then it is taken. */
  take(now: Millis): boolean;
}

/**
 * A bucket for each node, kept until it is full again: who closes its tunnel and comes back finds what it left. No more
 * than there are nodes that had a tunnel within the time a bucket takes to fill.
 */
export class NodeBuckets {
  readonly #buckets = new Map<NodeNumber, Bucket>();
  readonly #perSecond: number;
  readonly #burst: number;

  constructor(perSecond: number, burst: number) {
    this.#perSecond = perSecond;
    this.#burst = burst;
  }

  /** What this node may take, over whichever tunnel. */
  of(node: NodeNumber): Allowance {
    return { take: (now) => this.#bucketOf(node, now).take(now) };
  }

  #bucketOf(node: NodeNumber, now: Millis): Bucket {
    const known = this.#buckets.get(node);
    if (known) return known;
    for (const [other, bucket] of this.#buckets) if (bucket.isFull(now)) this.#buckets.delete(other);
    const bucket = new Bucket(this.#perSecond, this.#burst);
    this.#buckets.set(node, bucket);
    return bucket;
  }
}
