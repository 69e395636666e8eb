import type { Millis } from '../time.js';
import type { Metric } from './metric.js';

/** A neighbour left because its way had become worse, until when it is not returned to, and how bad it was then. */
export interface LeftWay {
  readonly column: number;
  readonly until: Millis;
  readonly metric: Metric;
}

const maxWays = 8;

/**
 * The ways to one destination that were left for having become worse, and what became of the way in their place. Most
 * destinations have none.
 */
export class LeftWays {
  #ways: readonly LeftWay[] = [];
  /** The way in use: since when, and how bad it was at worst while our traffic may have made it so. */
  #since: Millis = 0;
  #worst: Metric = 0;
  readonly #followsWithin: Millis;

  constructor(followsWithin: Millis) {
    this.#followsWithin = followsWithin;
  }

  add(way: LeftWay, now: Millis): void {
    this.#ways = this.#ways.filter(({ column, until }) => until > now && column !== way.column);
    this.#ways = [...this.#ways.slice(1 - maxWays), way];
  }

  /** The way in use has this metric now. */
  uses(isAnother: boolean, metric: Metric, now: Millis): void {
    if (isAnother) {
      this.#since = now;
      this.#worst = metric;
    } else if (now - this.#since < this.#followsWithin) this.#worst = Math.max(this.#worst, metric);
  }

  /** By how much the way in use, with this metric, is worse than our own traffic made it. */
  worseBy(metric: Metric, now: Millis): number {
    return now - this.#since < this.#followsWithin ? 0 : metric - this.#worst;
  }

  /** The way by this neighbour, when it may not be returned to yet. */
  find(column: number, now: Millis): LeftWay | undefined {
    return this.#ways.find((way) => way.column === column && way.until > now);
  }

  /** Keeps those that are not over and, if a neighbour is given, not by it; true when any was dropped. */
  forget(now: Millis, column?: number): boolean {
    const kept = this.#ways.filter((way) => way.until > now && way.column !== column);
    const isAny = kept.length < this.#ways.length;
    this.#ways = kept;
    return isAny;
  }

  get isEmpty(): boolean {
    return this.#ways.length === 0;
  }
}
