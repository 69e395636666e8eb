import { Bucket } from './bucket.js';
import type { Millis } from './time.js';

/** Of what somebody may have more only as time goes by. */
export interface Allowance {
  /** True when one may pass now; then it is taken. */
  take(now: Millis): boolean;
}

/** Our tuning. So many are kept before those that are full are looked for; then as many again. */
const fewest = 64;

/**
 * A bucket for each, a node for one, kept at least until it is full again: who closes its tunnel and comes back finds what it left. No
 * more than `fewest` and twice the nodes that had a tunnel within the time a bucket takes to fill.
 */
export class Buckets<Key> {
  readonly #buckets = new Map<Key, Bucket>();
  readonly #perSecond: number;
  readonly #burst: number;
  #sweepAt = fewest;

  constructor(perSecond: number, burst: number) {
    this.#perSecond = perSecond;
    this.#burst = burst;
  }

  /** How many are kept. */
  get size(): number {
    return this.#buckets.size;
  }

  /** What this one may take, over whichever tunnel. */
  of(key: Key): Allowance {
    return { take: (now) => this.take(key, now) };
  }

  /** As a bucket's own. */
  take(key: Key, now: Millis): boolean {
    return this.#bucketOf(key, now).take(now);
  }

  giveBack(key: Key, amount: number): void {
    this.#buckets.get(key)?.giveBack(amount);
  }

  isFull(key: Key, now: Millis): boolean {
    return this.#buckets.get(key)?.isFull(now) ?? true;
  }

  #bucketOf(key: Key, now: Millis): Bucket {
    const known = this.#buckets.get(key);
    if (known) return known;
    if (this.#buckets.size >= this.#sweepAt) this.#sweep(now);
    const bucket = new Bucket(this.#perSecond, this.#burst);
    this.#buckets.set(key, bucket);
    return bucket;
  }

  #sweep(now: Millis): void {
    for (const [other, bucket] of this.#buckets) if (bucket.isFull(now)) this.#buckets.delete(other);
    this.#sweepAt = Math.max(fewest, 2 * this.#buckets.size);
  }
}
