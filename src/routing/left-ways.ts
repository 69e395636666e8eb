import { type Millis, never } from '../time.js';
import { none } from './hot-fields.js';
import { infinity, type Metric } from './metric.js';
import type { Tuning } from './tuning.js';

/** A neighbour left because its way had become worse, until when it is not returned to, and how bad it was then. */
export interface LeftWay {
  readonly column: number;
  readonly until: Millis;
  readonly metric: Metric;
}

type LeftTuning = Pick<Tuning, 'leftFor' | 'returnFrom' | 'followsWithin' | 'worseByItself' | 'burstTime'>;

const maxWays = 8;
/** What falls by such a share of what it rose is over. */
const isOverBy = 1 / 4;

/**
 * The ways to one destination that were left for having become worse, and what became of the way in their place. Most
 * destinations have none.
 */
export class LeftWays {
  #ways: readonly LeftWay[] = [];
  /**
   * The way in use: its neighbour, since when, how bad it was at best, and our traffic made it at worst. Who was so bad
   * when it was taken that this is not our traffic has not risen, so has no burst that could be over.
   */
  #column = none;
  #since: Millis = 0;
  #least: Metric = 0;
  #wasBad = false;
  #worst: Metric = 0;
  /** Since when it is worse, and not as our traffic makes a way, and how bad at worst; never: it is not. */
  #beyondSince: Millis = never;
  #peak: Metric = 0;
  /** When a way was last returned to because the one in its place had become worse by itself. */
  #returnedAt: Millis = Number.NEGATIVE_INFINITY;
  readonly #tuning: LeftTuning;

  constructor(tuning: LeftTuning) {
    this.#tuning = tuning;
  }

  add(way: LeftWay, now: Millis): void {
    this.#ways = this.#ways.filter(({ column, until }) => until > now && column !== way.column);
    this.#ways = [...this.#ways.slice(1 - maxWays), way];
  }

  /** The way in use, which may be another than before, has this metric now. */
  uses(column: number, metric: Metric, now: Millis): void {
    if (column !== this.#column) {
      this.#take(column, metric, now);
      return;
    }
    this.#least = Math.min(this.#least, metric);
    if (this.#beyondSince !== never && metric <= this.#peak) {
      const before = this.#wasBad ? 0 : this.#least;
      if (this.#peak - metric > isOverBy * (this.#peak - before)) this.#beyondSince = never;
      return;
    }
    const bound = this.#bound(now);
    if (metric < bound && this.#mayFollow(now)) this.#worst = Math.max(this.#worst, metric);
    if (this.#isLittle(metric, now)) this.#beyondSince = Math.min(this.#beyondSince, now);
    else if (metric < bound) this.#beyondSince = never;
    else if (this.#beyondSince === never || this.#peak < bound) this.#beyondSince = now;
    this.#peak = metric;
  }

  /**
   * What made us leave the one before for being worse by itself was perhaps a long burst all the same: another like it
   * does not drive us back. Nor do two unequal ways, which our traffic makes worse by much and by little, drive us to and fro.
   */
  #take(column: number, metric: Metric, now: Millis): void {
    const isByItself = now >= this.worseByItselfAt;
    if (isByItself && this.find(column, now)) this.#returnedAt = now;
    this.#column = column;
    this.#since = now;
    this.#ways = this.#ways.filter((way) => way.column !== column);
    this.#least = metric;
    this.#wasBad = metric >= this.#bound(now);
    this.#worst = isByItself ? Math.max(metric, this.#peak) : metric;
    this.#beyondSince = never;
  }

  /** What our traffic does to a way shows soon after it came there. */
  #mayFollow(now: Millis): boolean {
    return now - this.#since < this.#tuning.followsWithin;
  }

  /**
   * Worse than it was, and by far not as bad as those that were left: what made us leave them has not followed us. Of what begins later
   * than that would, plus what it takes to show, the worst that our traffic did says more.
   */
  #isLittle(metric: Metric, now: Millis): boolean {
    const { burstTime, followsWithin, leftFor, returnFrom, worseByItself } = this.#tuning;
    if (now < this.#returnedAt + leftFor) return false;
    if (Math.min(now, this.#beyondSince) - this.#since >= followsWithin + burstTime) return false;
    return metric >= this.#least + worseByItself && returnFrom * metric < this.#leastLeft(now);
  }

  /** From where on the way in use is worse than our traffic makes it, as far as is known. */
  #bound(now: Millis): Metric {
    const { returnFrom, worseByItself } = this.#tuning;
    return Math.min(returnFrom * this.#leastLeft(now), this.#mayFollow(now) ? infinity : this.#worst + worseByItself);
  }

  /** How bad that of the ways was which was the least bad when it was left. */
  #leastLeft(now: Millis): Metric {
    return this.#ways.reduce((least, way) => (way.until > now ? Math.min(least, way.metric) : least), infinity);
  }

  /**
   * When the way in use counts as worse by itself, unless that is over before: longer so than a burst of our own traffic
   * makes it.
   */
  get worseByItselfAt(): Millis {
    return this.#beyondSince + this.#tuning.burstTime;
  }

  /** The way by this neighbour, when it may not be returned to yet. */
  find(column: number, now: Millis): LeftWay | undefined {
    return this.#ways.find((way) => way.column === column && way.until > now);
  }

  /** Keeps those that are not over and, if a neighbour is given, not by it: in use, it begins anew; true when any was dropped. */
  forget(now: Millis, column?: number): boolean {
    const kept = this.#ways.filter((way) => way.until > now && way.column !== column);
    const isAny = kept.length < this.#ways.length;
    this.#ways = kept;
    if (column !== undefined && column === this.#column) {
      this.#column = none;
      this.#beyondSince = never;
    }
    return isAny;
  }

  get isEmpty(): boolean {
    return this.#ways.length === 0;
  }
}
