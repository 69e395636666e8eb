import type { Millis } from '../time.js';
import type { PacketReader } from './codec/packet-reader.js';
import { Lane, none, stride } from './hot-fields.js';
import { addMetric, infinity } from './metric.js';
import type { Neighbour } from './neighbour.js';
import { Flag } from './route-matrix.js';
import { isNewer } from './seqno.js';
import { expiryOf, type Tables } from './tables.js';

/** Not a rank: the way cannot be used, or more would have to be known of it. */
const unknown = -1;

/**
 * Most updates tell again what is known, or of a proven way that is no better than the three in use, or not feasible
 * and no better than the first: nothing is to be done but to note it. They are recognised by the hot fields and the
 * matrix alone; all others, and whatever is not certain, go the long way through admission and selection, which would
 * come to the same.
 */
export class SideUpdates {
  readonly #tables: Tables;

  constructor(tables: Tables) {
    this.#tables = tables;
  }

  /** True when the finite update from a tunnel on which the reader stands was such a one and has been noted. */
  take(reader: PacketReader, neighbour: Neighbour, now: Millis): boolean {
    const { destinations, matrix, routers, node, columns } = this.#tables;
    const { hot } = destinations;
    const row = destinations.rowOf(reader.prefix, reader.prefixLength);
    if (row < 0) return false;
    const { cells } = hot;
    const at = row * stride;
    const owner = cells[at + Lane.owner]!;
    // Its own prefix, of which it may have to be reminded, and ours are for others.
    if (owner === 0 || owner === node || owner === neighbour.node || owner !== reader.routerIdHigh >>> 8) return false;
    const router = cells[at + Lane.router]!;
    if (router === none || router !== cells[at + Lane.newestRouter]) return false;
    if (!routers.is(router, reader.routerIdHigh, reader.routerIdLow)) return false;
    const signature = hot.signatures[row];
    if (signature === undefined || cells[at + Lane.proven] !== ((reader.seqno << 16) | router)) return false;
    if (reader.signatureLength > 0 && !reader.signatureIs(signature)) return false;
    const { column } = neighbour;
    const selected = cells[at + Lane.selected]!;
    if (selected < 0 || selected === column || columns[selected]!.isSuspected) return false;
    const limitRouter = cells[at + Lane.limitRouter]!;
    if (limitRouter !== none && limitRouter !== router) return false;
    const metric = addMetric(reader.metric, neighbour.cost);
    if (!isFeasible(cells, at, router, reader.seqno, reader.metric)) {
      if (!this.#isVain(row, metric, column, selected)) return false;
    } else if (!matrix.says(row, column, reader.metric, reader.seqno, router)) {
      if (!this.#isBehind(row, metric, column)) return false;
    }
    if (!matrix.has(row, column, Flag.present)) neighbour.routes++;
    this.#note(row, router, reader, neighbour, now);
    return true;
  }

  /** Of an unfeasible way: false if it was a spare one, or a newer seqno would be worth asking for. */
  #isVain(row: number, metric: number, column: number, selected: number): boolean {
    const { cells } = this.#tables.destinations.hot;
    const second = cells[row * stride + Lane.second]!;
    if (second === column || cells[row * stride + Lane.third] === column) return false;
    const best = this.#metricOf(row, selected);
    return best !== unknown && metric >= best && (second === none || this.#metricOf(row, second) !== unknown);
  }

  /** False unless both spare ways can be used and the metric is no better than the last one's. */
  #isBehind(row: number, metric: number, column: number): boolean {
    const { cells } = this.#tables.destinations.hot;
    const second = cells[row * stride + Lane.second]!;
    const third = cells[row * stride + Lane.third]!;
    if (third === none || second === column || third === column) return false;
    const last = this.#metricOf(row, third);
    return last !== unknown && metric >= last && this.#metricOf(row, second) !== unknown;
  }

  #metricOf(row: number, column: number): number {
    const { destinations, matrix, columns } = this.#tables;
    const { cells } = destinations.hot;
    const at = row * stride;
    const neighbour = columns[column];
    if (!neighbour || neighbour.isSuspected) return unknown;
    if ((matrix.flags(row, column) & (Flag.present | Flag.unproven)) !== Flag.present) return unknown;
    const router = matrix.router(row, column);
    if (router !== cells[at + Lane.newestRouter]) return unknown;
    const refmetric = matrix.refmetric(row, column);
    const metric = addMetric(refmetric, neighbour.cost);
    if (metric === infinity) return unknown;
    return isFeasible(cells, at, router, matrix.seqno(row, column), refmetric) ? metric : unknown;
  }

  #note(row: number, router: number, reader: PacketReader, neighbour: Neighbour, now: Millis): void {
    const { matrix, epochStart, timers } = this.#tables;
    const { column } = neighbour;
    matrix.set(row, column, reader.metric, reader.seqno, router, reader.interval, 0);
    matrix.lower(row, column, Flag.asked | Flag.unproven);
    const expiry = expiryOf(this.#tables, reader.interval, now);
    matrix.setExpiry(row, column, expiry);
    const due = epochStart + 100 * expiry;
    if (due >= neighbour.routesDeadline) return;
    neighbour.routesDeadline = due;
    timers.by(due);
  }
}

/** As `Destination.isFeasible` says; false also of a router-id of which the hot fields know nothing. */
function isFeasible(cells: Int32Array, at: number, router: number, seqno: number, refmetric: number): boolean {
  const limitRouter = cells[at + Lane.limitRouter]!;
  if (limitRouter === none) return true;
  if (limitRouter !== router) return false;
  const limit = cells[at + Lane.limit]!;
  const bound = limit >>> 16;
  return isNewer(seqno, bound) || (seqno === bound && refmetric < (limit & 0xffff));
}
