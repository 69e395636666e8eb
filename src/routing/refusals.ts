import type { Prefix } from '../addr/prefix.js';
import type { Millis } from '../time.js';
import type { ReportCode } from './contract.js';
import type { Neighbour } from './neighbour.js';
import type { RouterId } from './router-id.js';

/** An update that was refused, until when it would have been a route. */
export interface Refusal {
  readonly code: ReportCode;
  readonly prefix: Prefix;
  readonly neighbour: Neighbour;
  readonly routerId: RouterId;
  readonly announced: number;
  readonly seqno: number;
  readonly at: Millis;
  readonly until: Millis;
}

const most = 256;

/**
 * The latest refused updates, for `weft why` and `weft routes`: one for each prefix and neighbour, 256 at most. Beyond that whoever has most
 * loses its oldest: one that announces much hides nothing of the others.
 */
export class Refusals {
  readonly #latest = new Map<Neighbour, Map<string, Refusal>>();
  #size = 0;

  add(refusal: Refusal): void {
    const { neighbour, prefix } = refusal;
    this.forget(neighbour, prefix);
    if (this.#size >= most) this.#dropOldest();
    const its = this.#latest.get(neighbour) ?? new Map<string, Refusal>();
    this.#latest.set(neighbour, its.set(prefix.key, refusal));
    this.#size++;
  }

  /** True when something of this neighbour was refused. */
  has(neighbour: Neighbour): boolean {
    return this.#latest.has(neighbour);
  }

  /** True when the latest it said of this prefix was refused, and would be a route still. */
  isCurrent(neighbour: Neighbour, prefix: Prefix, now: Millis): boolean {
    const latest = this.#latest.get(neighbour)?.get(prefix.key);
    return latest !== undefined && latest.until > now;
  }

  /** It was taken since, or taken back. */
  forget(neighbour: Neighbour, prefix: Prefix): void {
    const its = this.#latest.get(neighbour);
    if (!its?.delete(prefix.key)) return;
    this.#size--;
    if (its.size === 0) this.#latest.delete(neighbour);
  }

  /** It is gone, began anew or took all back. */
  forgetAllOf(neighbour: Neighbour): void {
    this.#size -= this.#latest.get(neighbour)?.size ?? 0;
    this.#latest.delete(neighbour);
  }

  /** Those that would be routes still. */
  current(now: Millis): Refusal[] {
    return [...this.#latest.values()].flatMap((its) => [...its.values()].filter(({ until }) => until > now));
  }

  #dropOldest(): void {
    let largest = new Map<string, Refusal>();
    for (const its of this.#latest.values()) if (its.size > largest.size) largest = its;
    for (const { neighbour, prefix } of largest.values()) return this.forget(neighbour, prefix);
  }
}
