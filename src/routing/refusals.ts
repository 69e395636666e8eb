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

/** The latest refused updates, for `weft why` and `weft routes`: one for each prefix and neighbour, 256 at most, the oldest go first. */
export class Refusals {
  readonly #latest = new Map<string, Refusal>();

  add(refusal: Refusal): void {
    const key = `${refusal.prefix.key} ${refusal.neighbour.column}`;
    this.#latest.delete(key);
    if (this.#latest.size >= most) this.#latest.delete(this.#latest.keys().next().value!);
    this.#latest.set(key, refusal);
  }

  /** Those that would be routes still, by neighbours that are still there. */
  current(columns: readonly (Neighbour | undefined)[], now: Millis): Refusal[] {
    return [...this.#latest.values()].filter(
      ({ neighbour, until }) => until > now && columns[neighbour.column] === neighbour,
    );
  }
}
