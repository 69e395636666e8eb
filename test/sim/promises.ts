import type { Millis } from '../../src/time.js';
import type { Checker } from './checker.js';
import { none, type Via } from './next-hops.js';
import { infinity, type Seen } from './packet-view.js';
import { Violation } from './violation.js';

/** RFC 8966 §3.7.2, appendix B: what is urgent leaves within so long. */
const urgentTimeout: Millis = 200;
/** A lost prefix may be let go after this, whoever has not acknowledged (`holdTime` of src/routing/tuning.ts). */
const holdTime: Millis = 60_000;

/** A lost prefix, and the neighbours that were told of it and may still send packets for it. */
interface Lost {
  readonly at: Millis;
  readonly believers: Set<number>;
}

interface Urgent {
  readonly node: number;
  readonly peer: number;
  readonly prefix: string;
  /** The router-id to be told; undefined: the retraction. */
  readonly routerId: string | undefined;
  readonly due: Millis;
}

/**
 * What a node owes its neighbours, judged from the packets:
 *
 *   g  A lost prefix is held, so that no packet for it follows a shorter one, until every neighbour that was told of it has
 *      been reached by its retraction, or its tunnel is gone, or the hold time has passed (RFC 8966 §3.5.4).
 *   l  A retraction, and a route of another router-id, leave within 0.2 s towards everybody who was told of the prefix.
 */
export class Promises implements Checker {
  /** By node and peer: prefixes last announced with a finite metric. */
  readonly #said = new Map<string, Set<string>>();
  /** By node, then by prefix. */
  readonly #lost = new Map<number, Map<string, Lost>>();
  readonly #held = new Set<string>();
  readonly #vias = new Map<string, Via>();
  readonly #routers = new Map<string, string>();
  /** In order of time. */
  #urgent: Urgent[] = [];
  /** Of the node at work: what it has lost, or has by another router-id, since it last settled. */
  readonly #news = new Map<string, string | undefined>();
  /** By node, prefix and peer: the router-id said in this event, before the node has settled and its choice is known; undefined: a retraction. */
  readonly #justSaid = new Map<string, string | undefined>();
  /** How often each of them was looked at. */
  readonly checks = { g: 0, l: 0 };

  /** A node reports what it selected, and whether it drops packets for the prefix. */
  chosen(node: number, prefix: string, via: Via, held: boolean, routerId: string | undefined): void {
    const key = `${node} ${prefix}`;
    const before = this.#vias.get(key) ?? none;
    const routerBefore = this.#routers.get(key);
    this.#vias.set(key, via);
    if (held) this.#held.add(key);
    else this.#held.delete(key);
    if (via !== none) {
      if (routerId !== undefined) this.#routers.set(key, routerId);
      this.#lost.get(node)?.delete(prefix);
      this.#urgent = this.#urgent.filter((one) => one.node !== node || one.prefix !== prefix);
      this.#news.delete(prefix);
      if (before >= 0 && via >= 0 && routerId !== undefined && routerBefore !== routerId)
        this.#news.set(prefix, routerId);
    } else if (before !== none) this.#news.set(prefix, undefined);
  }

  settled(node: number, now: Millis): void {
    for (const [prefix, routerId] of this.#news) this.#owe(node, prefix, routerId, now);
    this.#news.clear();
    this.#justSaid.clear();
    for (const [prefix, lost] of this.#lost.get(node) ?? []) this.#checkHeld(node, prefix, lost, now);
    const first = this.#urgent[0];
    if (!first || now <= first.due) return;
    const what = first.routerId === undefined ? 'retraction' : `update of ${first.routerId}`;
    throw new Violation(
      'l',
      `node ${first.node} has not sent node ${first.peer} its urgent ${what} within ${urgentTimeout} ms`,
      first.prefix,
      first.node,
    );
  }

  #owe(node: number, prefix: string, routerId: string | undefined, now: Millis): void {
    const told = [...this.#said].filter(([key, prefixes]) => key.startsWith(`${node} `) && prefixes.has(prefix));
    const peers = told.map(([key]) => Number(key.split(' ')[1]));
    const via = this.#vias.get(`${node} ${prefix}`) ?? none;
    for (const peer of peers) {
      if (peer === via) continue; // split horizon
      const key = `${node} ${prefix} ${peer}`;
      if (this.#justSaid.has(key) && this.#justSaid.get(key) === routerId) continue;
      this.checks.l++;
      this.#urgent.push({ node, peer, prefix, routerId, due: now + urgentTimeout });
    }
    if (routerId !== undefined || peers.length === 0) return;
    let lost = this.#lost.get(node);
    if (!lost) {
      lost = new Map();
      this.#lost.set(node, lost);
    }
    lost.set(prefix, { at: now, believers: new Set(peers) });
  }

  #checkHeld(node: number, prefix: string, { at, believers }: Lost, now: Millis): void {
    if (believers.size === 0 || now >= at + holdTime) {
      this.#lost.get(node)!.delete(prefix);
      return;
    }
    this.checks.g++;
    if (this.#held.has(`${node} ${prefix}`)) return;
    const peers = [...believers].join(', ');
    throw new Violation(
      'g',
      `node ${node} lets go a prefix that node ${peers} may still send it packets for`,
      prefix,
      node,
    );
  }

  sent(from: number, to: number, packet: readonly Seen[]): void {
    const key = `${from} ${to}`;
    for (const seen of packet) {
      if (seen.kind !== 'update') continue;
      const said = this.#said.get(key) ?? new Set();
      this.#said.set(key, said);
      if (seen.prefix === '*') said.clear();
      else if (seen.metric === infinity) said.delete(seen.prefix);
      else said.add(seen.prefix);
      this.#justSaid.set(`${from} ${seen.prefix} ${to}`, seen.metric === infinity ? undefined : seen.routerId);
      this.#urgent = this.#urgent.filter(
        (one) => one.node !== from || one.peer !== to || (seen.prefix !== '*' && one.prefix !== seen.prefix),
      );
    }
  }

  delivered(from: number, to: number, packet: readonly Seen[]): void {
    const lost = this.#lost.get(from);
    if (!lost || lost.size === 0) return;
    for (const seen of packet) {
      if (seen.kind !== 'update' || seen.metric !== infinity) continue;
      if (seen.prefix === '*') for (const { believers } of lost.values()) believers.delete(to);
      else lost.get(seen.prefix)?.believers.delete(to);
    }
  }

  linkDown(node: number, peer: number): void {
    this.#said.delete(`${node} ${peer}`);
    for (const { believers } of this.#lost.get(node)?.values() ?? []) believers.delete(peer);
    this.#urgent = this.#urgent.filter((one) => one.node !== node || one.peer !== peer);
  }

  died(node: number): void {
    for (const table of [this.#said, this.#vias, this.#routers]) {
      for (const key of table.keys()) if (key.startsWith(`${node} `)) table.delete(key);
    }
    for (const key of this.#held) if (key.startsWith(`${node} `)) this.#held.delete(key);
    this.#lost.delete(node);
    this.#urgent = this.#urgent.filter((one) => one.node !== node);
  }

  started(node: number): void {
    this.died(node);
  }
}
