import type { Prefix } from '../../src/addr/prefix.js';
import type { RouteRow } from '../../src/routing/contract.js';
import type { Millis } from '../../src/time.js';
import { prefixText } from './babel-node.js';
import type { Checker } from './checker.js';
import { own, type Via } from './next-hops.js';
import { infinity, isNewer, type Seen } from './packet-view.js';
import { Violation } from './violation.js';

/** A source neither announced nor used for so long may have been forgotten (RFC 8966 §3.7.3; appendix B: 180 s). */
const sourceLifetime: Millis = 175_000;

interface Distance {
  readonly seqno: number;
  readonly metric: number;
}

/**
 * The one look into the nodes: the feasibility distances they keep, against what they have really sent.
 *
 *   c  A stored distance never gets worse until its source is forgotten.
 *   d  It is no worse than anything sent for that source since.
 */
export class Distances implements Checker {
  readonly #rowsOf: (node: number, prefix: Prefix, now: Millis) => readonly RouteRow[];
  readonly #prefixes = new Map<string, Prefix>();
  /**
   * By node, prefix and router-id: the best sent, and the stored one when last seen; and when something was last sent, or the
   * way last used.
   */
  readonly #sent = new Map<string, Distance & { at: Millis }>();
  readonly #stored = new Map<string, Distance>();
  /** By node and prefix: the router-id of the way in use. */
  readonly #used = new Map<string, string>();
  readonly #touched = new Set<string>();
  readonly #ownPrefixes = new Set<string>();
  checks = 0;

  constructor(rowsOf: (node: number, prefix: Prefix, now: Millis) => readonly RouteRow[]) {
    this.#rowsOf = rowsOf;
  }

  chosen(node: number, prefix: Prefix, via: Via, routerId: string | undefined, now: Millis): void {
    const text = prefixText(prefix);
    this.#prefixes.set(text, prefix);
    this.#touched.add(text);
    const place = `${node} ${text}`;
    if (via === own) this.#ownPrefixes.add(place);
    else this.#ownPrefixes.delete(place);
    const before = this.#used.get(place);
    if (before === routerId) return;
    const sent = this.#sent.get(`${place} ${before}`);
    if (sent) sent.at = now;
    if (routerId === undefined) this.#used.delete(place);
    else {
      this.#used.set(place, routerId);
      this.#forgetOld(`${place} ${routerId}`, now);
    }
  }

  /** Of a router-id that comes into use again, so long after the last time that its source may be gone. */
  #forgetOld(key: string, now: Millis): void {
    const sent = this.#sent.get(key);
    if (!sent || now - sent.at <= sourceLifetime) return;
    this.#sent.delete(key);
    this.#stored.delete(key);
  }

  sent(from: number, _to: number, packet: readonly Seen[], now: Millis): void {
    for (const seen of packet) {
      if (seen.kind !== 'update' || seen.metric === infinity || this.#ownPrefixes.has(`${from} ${seen.prefix}`))
        continue;
      const place = `${from} ${seen.prefix}`;
      const key = `${place} ${seen.routerId}`;
      const before = this.#sent.get(key);
      const isUsed = this.#used.get(place) === seen.routerId;
      const forgotten = before !== undefined && !isUsed && now - before.at > sourceLifetime;
      const best = !before || forgotten || isBetter(seen, before) ? seen : before;
      if (forgotten) this.#stored.delete(key);
      this.#sent.set(key, { seqno: best.seqno, metric: best.metric, at: now });
      this.#touched.add(seen.prefix);
    }
  }

  delivered(_from: number, _to: number, packet: readonly Seen[]): void {
    for (const seen of packet) if (seen.kind === 'update') this.#touched.add(seen.prefix);
  }

  settled(node: number, now: Millis): void {
    for (const text of this.#touched) {
      const prefix = this.#prefixes.get(text);
      if (!prefix) continue;
      for (const row of this.#rowsOf(node, prefix, now)) {
        if (row.interface !== undefined) this.#check(node, text, row, now);
      }
    }
    this.#touched.clear();
  }

  #check(node: number, prefix: string, { routerId, distance }: RouteRow, now: Millis): void {
    this.checks++;
    const place = `${node} ${prefix}`;
    const key = `${place} ${routerId}`;
    const sent = this.#sent.get(key);
    const counts = sent !== undefined && (this.#used.get(place) === routerId || now - sent.at <= sourceLifetime);
    const stored = this.#stored.get(key);
    if (distance) this.#stored.set(key, distance);
    else this.#stored.delete(key);
    if (!counts) return;
    const text = distance ? `seqno ${distance.seqno} metric ${distance.metric}` : 'none';
    if (stored && (!distance || isBetter(stored, distance))) {
      throw new Violation(
        'c',
        `node ${node} has the feasibility distance ${text}, and had seqno ${stored.seqno} metric ${stored.metric}`,
        prefix,
        node,
      );
    }
    if (distance && !isBetter(sent, distance)) return;
    throw new Violation(
      'd',
      `node ${node} has the feasibility distance ${text}, and has sent seqno ${sent.seqno} metric ${sent.metric}`,
      prefix,
      node,
    );
  }

  died(node: number): void {
    for (const table of [this.#sent, this.#stored, this.#used]) {
      for (const key of table.keys()) if (key.startsWith(`${node} `)) table.delete(key);
    }
  }

  started(node: number): void {
    this.died(node);
  }
}

function isBetter(a: Distance, b: Distance): boolean {
  return isNewer(a.seqno, b.seqno) || (a.seqno === b.seqno && a.metric < b.metric);
}
