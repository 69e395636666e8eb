import type { Millis } from '../time.js';
import type { Standing } from './contract.js';
import type { Destination } from './destination.js';
import { none } from './hot-fields.js';
import { LeftWays } from './left-ways.js';
import { addMetric, infinity, type Metric } from './metric.js';
import type { Neighbour } from './neighbour.js';
import { Flag, type RouteMatrix } from './route-matrix.js';
import type { Tuning } from './tuning.js';

/** A suspected neighbour's routes come after all others. */
const suspicion = 0x10000;

/**
 * Chooses among the routes of a row (RFC 8966 §3.6): never an infinite or an unfeasible one, never one for its seqno, and
 * a better one only when it has been better by a margin for a while. Results are in its fields until the next call.
 */
export class Selection {
  /** Columns of the best three usable routes, best first, and their ranks. */
  readonly best: [number, number, number] = [none, none, none];
  readonly #ranks: [number, number, number] = [0, 0, 0];
  /** A finite route that must not be used because it is not feasible: the destination starves if there is no other. */
  hasUnfeasible = false;
  /** The best of those, or none, and its rank. */
  unfeasible = none;
  unfeasibleRank = Number.POSITIVE_INFINITY;

  readonly #matrix: RouteMatrix;
  readonly #columns: readonly (Neighbour | undefined)[];
  readonly #tuning: Tuning;

  constructor(matrix: RouteMatrix, columns: readonly (Neighbour | undefined)[], tuning: Tuning) {
    this.#matrix = matrix;
    this.#columns = columns;
    this.#tuning = tuning;
  }

  /** Ranks the row. */
  rank(destination: Destination): void {
    const { best } = this;
    const ranks = this.#ranks;
    best[0] = best[1] = best[2] = none;
    ranks[0] = ranks[1] = ranks[2] = Number.POSITIVE_INFINITY;
    this.hasUnfeasible = false;
    this.unfeasible = none;
    this.unfeasibleRank = Number.POSITIVE_INFINITY;
    for (let column = 0; column < this.#columns.length; column++) {
      const neighbour = this.#columns[column];
      if (neighbour === undefined) continue;
      const rank = this.#rankOf(destination, column, neighbour, ranks[2]);
      if (rank >= ranks[2]) continue;
      if (rank < ranks[0]) {
        ranks[2] = ranks[1];
        best[2] = best[1];
        ranks[1] = ranks[0];
        best[1] = best[0];
        ranks[0] = rank;
        best[0] = column;
      } else if (rank < ranks[1]) {
        ranks[2] = ranks[1];
        best[2] = best[1];
        ranks[1] = rank;
        best[1] = column;
      } else {
        ranks[2] = rank;
        best[2] = column;
      }
    }
  }

  /** Infinite for what cannot be used; nothing is asked of a route that is not below `limit` anyway. */
  #rankOf(destination: Destination, column: number, neighbour: Neighbour, limit: number): number {
    const matrix = this.#matrix;
    const row = destination.row;
    const flags = matrix.flags(row, column);
    if ((flags & Flag.present) === 0) return Number.POSITIVE_INFINITY;
    const refmetric = matrix.refmetric(row, column);
    const metric = addMetric(refmetric, neighbour.cost);
    if (metric === infinity || flags & Flag.unproven) return Number.POSITIVE_INFINITY;
    const rank = neighbour.isSuspected ? metric + suspicion : metric;
    if (rank >= limit) return rank;
    const router = matrix.router(row, column);
    if (destination.owner !== 0 && router !== destination.newestRouter) return Number.POSITIVE_INFINITY;
    if (!destination.isFeasible(router, matrix.seqno(row, column), refmetric)) {
      this.hasUnfeasible = true;
      if (rank < this.unfeasibleRank) {
        this.unfeasible = column;
        this.unfeasibleRank = rank;
      }
      return Number.POSITIVE_INFINITY;
    }
    return rank;
  }

  isUsable(destination: Destination, column: number): boolean {
    const neighbour = this.#columns[column];
    if (neighbour === undefined) return false;
    return this.#rankOf(destination, column, neighbour, Number.POSITIVE_INFINITY) < Number.POSITIVE_INFINITY;
  }

  /**
   * True when this route, however it changed, leaves the selected one and both spare ones as they are: it is none of
   * them, they are usable, and it is not better than the last.
   */
  isBehind(destination: Destination, column: number): boolean {
    const { selected, second, third } = destination;
    if (column === selected || column === second || column === third) return false;
    const neighbour = this.#columns[column]!;
    const rank = this.#rankOf(destination, column, neighbour, Number.POSITIVE_INFINITY);
    if (second !== none && !this.isUsable(destination, second)) return false;
    if (third === none) return rank === Number.POSITIVE_INFINITY;
    const last = this.#columns[third];
    return last !== undefined && rank >= this.#rankOf(destination, third, last, Number.POSITIVE_INFINITY);
  }

  metricOf(destination: Destination, column: number): Metric {
    const neighbour = this.#columns[column];
    return neighbour ? addMetric(this.#matrix.refmetric(destination.row, column), neighbour.cost) : infinity;
  }

  /**
   * After `rank`: the column to use. Sets `betterSince` when a better one has to prove itself first; look again after the
   * dwell.
   */
  choose(destination: Destination, now: Millis): number {
    const challenger = this.best[0];
    const current = destination.selected;
    if (current < 0 || challenger === none || !this.isUsable(destination, current)) {
      destination.betterSince = 0;
      // Only unfeasible, it is asked for now, and is no less good when the answer comes: that is not waited out.
      if (
        current >= 0 &&
        challenger !== none &&
        this.metricOf(destination, current) < this.metricOf(destination, challenger)
      )
        destination.foundAt = Math.ceil(now);
      return challenger;
    }
    if (challenger === current) {
      destination.betterSince = 0;
      return current;
    }
    if (this.#columns[current]!.isSuspected && !this.#columns[challenger]!.isSuspected) {
      destination.betterSince = 0;
      return challenger;
    }
    const better = this.#firstBetter(destination, current, now);
    if (better === none) {
      destination.betterSince = 0;
      return current;
    }
    if (now - destination.foundAt < this.#tuning.settling || now < this.#columns[better]!.settlesUntil) {
      destination.betterSince = 0;
      return better;
    }
    if (destination.betterSince === 0) {
      destination.betterSince = now;
      return current;
    }
    if (now - destination.betterSince < this.#tuning.dwell) return current;
    destination.betterSince = 0;
    this.#remember(destination, current, now);
    return better;
  }

  /** The best route that is better than the current one by the margin and was not left lately; by rank too, so no suspected one. */
  #firstBetter(destination: Destination, current: number, now: Millis): number {
    for (const column of this.best) {
      if (column === none || column === current) return none;
      if (this.#isBetter(destination, column, current) && !this.leftLately(destination, column, now)) return column;
    }
    return none;
  }

  #isBetter(destination: Destination, column: number, current: number): boolean {
    return this.isWorthwhile(this.metricOf(destination, column), this.metricOf(destination, current));
  }

  /** Better by the margin than what is in use. */
  isWorthwhile(metric: Metric, current: Metric): boolean {
    return metric + this.#margin(current) < current;
  }

  #margin(metric: Metric): Metric {
    return this.#tuning.switchMargin + this.#tuning.switchShare * metric;
  }

  /** The route we leave had become worse since we chose it: perhaps by our own traffic, which will now follow us. */
  #remember(destination: Destination, column: number, now: Millis): void {
    const metric = this.metricOf(destination, column);
    if (metric <= destination.chosenMetric + this.#margin(destination.chosenMetric)) return;
    destination.left ??= new LeftWays(this.#tuning);
    destination.left.add({ column, until: now + this.#tuning.leftFor, metric }, now);
  }

  /**
   * A route that is not to be returned to yet, unless what we have in its place has been worse for a while than our own
   * traffic makes it.
   */
  leftLately({ left }: Destination, column: number, now: Millis): boolean {
    return left?.find(column, now) !== undefined && now < left.worseByItselfAt;
  }

  /** Why this route of the row is, or is not, the selected one. */
  standing(destination: Destination, column: number, now: Millis): Standing {
    if (destination.selected === column) return 'selected';
    const matrix = this.#matrix;
    const neighbour = this.#columns[column]!;
    const refmetric = matrix.refmetric(destination.row, column);
    const router = matrix.router(destination.row, column);
    if (refmetric === infinity) return 'retracted';
    if (matrix.has(destination.row, column, Flag.unproven)) return 'unproven';
    if (!neighbour.isReachable) return 'neighbour-unreachable';
    if (destination.owner !== 0 && router !== destination.newestRouter) return 'old-epoch';
    if (!destination.isFeasible(router, matrix.seqno(destination.row, column), refmetric)) return 'unfeasible';
    if (neighbour.isSuspected) return 'suspected';
    if (destination.selected < 0) return 'worse';
    if (this.leftLately(destination, column, now)) return 'left-lately';
    if (this.#isBetter(destination, column, destination.selected)) return 'better-not-long-enough';
    const current = this.metricOf(destination, destination.selected);
    return this.metricOf(destination, column) < current ? 'not-better-enough' : 'worse';
  }
}
