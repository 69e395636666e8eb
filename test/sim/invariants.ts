import type { Millis } from '../../src/time.js';
import { Announced } from './announced.js';
import type { Checker } from './checker.js';
import { Heard } from './heard.js';
import { NextHops, none, own, type PrefixIndex, type Via } from './next-hops.js';
import { infinity, isNewer, type Seen, type SeenSeqnoRequest, type SeenUpdate } from './packet-view.js';
import { metricIn, nothing, routerIn, type Said, said, seqnoIn } from './said.js';
import { SharedLoops } from './shared-loops.js';
import { Violation } from './violation.js';

export interface InvariantOptions {
  /** Prefixes with more than one originator: their loops may exist for a while (RFC 8966 §2.8, invariant f). */
  readonly shared?: readonly string[];
  /** Only these prefixes are watched; all, when undefined. */
  readonly only?: ReadonlySet<string>;
}

/** Of an originator: what it last said its seqno is, and how often it has been asked for a newer one since. */
interface Numbering {
  seqno: number | undefined;
  asked: number;
}

/**
 * Watches a network from outside, by the next hops its nodes report and the packets they really send, and throws a
 * Violation at the event that breaks one of these:
 *
 *   a  The selected next hops for a prefix with one originator never form a loop.
 *   b  What the selected next hop last said, unless it may be ignored, is finite and feasible: better than anything the node has sent for that source
 *      since the source was last used (which is also d: the feasibility distance is no worse than what was ever sent).
 *   e  A node sends a metric greater than the one it was given by its next hop, at the same seqno.
 *   f  A loop between routes of several originators does not outlive as many updates at each of its nodes as it has nodes.
 *   k  An originator's seqno never grows by more than it was asked to.
 *
 * Everything is derived from the packets by a reader of its own, so a mistake in the speaker's tables cannot hide
 * itself. Only what an event changed is looked at: a loop is closed by a next hop that was none before, and what is feasible
 * depends on what was heard and sent of the prefix.
 */
export class Invariants implements Checker {
  readonly #only: ReadonlySet<string> | undefined;
  readonly #shared: ReadonlySet<string>;
  readonly #hops = new NextHops();
  readonly #heard = new Heard();
  readonly #announced = new Announced();
  readonly #loops = new SharedLoops(this.#hops);
  readonly #prefixes = new Map<string, PrefixIndex>();
  /** By index. */
  readonly #texts: string[] = [];
  /** By router-id, from 1; and back. */
  readonly #routers = new Map<string, number>();
  readonly #routerIds: string[] = [''];
  /** By node, then by prefix: the highest epoch heard of. */
  readonly #newestRouter: string[][] = [];
  /** By node, then by peer: the newest Hello delivered. */
  readonly #newestHello: (Map<number, number> | undefined)[] = [];
  /** By node, then by router-id. */
  readonly #numberings: (Map<string, Numbering> | undefined)[] = [];
  /** Prefixes of which the node at work has a next hop that was none before; of shared ones, any other. */
  readonly #moved = new Set<PrefixIndex>();
  /** Those of which it has other next hops, has sent a better metric, or heard anew from a next hop. */
  readonly #touched = new Set<PrefixIndex>();
  /** Sent by the node that is at work; looked at when it has settled, and its new next hops are known. */
  readonly #justSent: SeenUpdate[] = [];
  /** How often a prefix was looked at. */
  checks = 0;

  constructor({ shared, only }: InvariantOptions = {}) {
    this.#shared = new Set(shared);
    this.#only = only;
  }

  /** How many loops between several originators there have been. */
  get loopsSeen(): number {
    return this.#loops.seen;
  }

  /** Undefined for a prefix that is not watched. */
  #indexOf(text: string): PrefixIndex | undefined {
    const known = this.#prefixes.get(text);
    if (known !== undefined || (this.#only && !this.#only.has(text))) return known;
    this.#prefixes.set(text, this.#texts.length);
    return this.#texts.push(text) - 1;
  }

  #routerOf(routerId: string): number {
    let router = this.#routers.get(routerId);
    if (router === undefined) {
      router = this.#routerIds.push(routerId) - 1;
      this.#routers.set(routerId, router);
    }
    return router;
  }

  via(node: number, text: string): Via {
    const prefix = this.#indexOf(text);
    return prefix === undefined ? none : this.#hops.via(node, prefix);
  }

  /** The metric at which the node's next hop last announced the prefix. */
  metricHeard(node: number, text: string): number | undefined {
    const prefix = this.#prefixes.get(text);
    if (prefix === undefined) return undefined;
    const heard = this.#heard.get(node, this.#hops.via(node, prefix), prefix);
    return heard === nothing ? undefined : metricIn(heard);
  }

  /** A node reports what it selected, and the spare next hops its forwarding table may take before routing says so. */
  chosen(node: number, text: string, via: Via, spares: readonly Via[] = []): void {
    const prefix = this.#indexOf(text);
    if (prefix === undefined) return;
    const isNew = this.#hops.set(node, prefix, via, spares);
    if (isNew || this.#shared.has(text)) this.#moved.add(prefix);
    this.#touched.add(prefix);
  }

  settled(node: number, now: Millis): void {
    if (this.#justSent.length > 0) for (const update of this.#justSent.splice(0)) this.#noteSent(node, update, now);
    if (this.#moved.size > 0) {
      for (const prefix of this.#moved) this.#checkLoops(node, prefix);
      this.#moved.clear();
    }
    if (this.#touched.size > 0) {
      for (const prefix of this.#touched) this.#checkFeasible(node, prefix, now);
      this.#touched.clear();
    }
  }

  #checkLoops(node: number, prefix: PrefixIndex): void {
    const text = this.#texts[prefix]!;
    if (this.#shared.has(text)) {
      this.#loops.watch(node, prefix);
      return;
    }
    // A loop that this event closed comes back to the node, whichever next hops it is of.
    const back = this.#hops.mixedLoopTo(node, prefix);
    if (back === undefined) return;
    const loop = this.#hops.loopFrom(node, prefix);
    const what = loop ? `loop ${loop.join(' -> ')}` : `a loop by spare next hops, back from node ${back}`;
    throw new Violation('a', what, text, ...(loop ?? [node, back]));
  }

  #checkFeasible(node: number, prefix: PrefixIndex, now: Millis): void {
    this.checks++;
    const via = this.#hops.via(node, prefix);
    if (via < 0) return;
    this.#checkHop(node, prefix, via, now);
    const [second, third] = [this.#hops.spare(node, prefix, 1), this.#hops.spare(node, prefix, 2)];
    if (second !== undefined) this.#checkHop(node, prefix, second, now);
    if (third !== undefined) this.#checkHop(node, prefix, third, now);
  }

  #checkHop(node: number, prefix: PrefixIndex, via: number, now: Millis): void {
    const heard = this.#heard.get(node, via, prefix);
    const isRoute = heard !== nothing && metricIn(heard) < infinity;
    if (isRoute && this.#announced.isFeasible(node, prefix, heard, now)) return;
    const best = isRoute ? this.#announced.best(node, prefix, routerIn(heard)) : undefined;
    const why = best ? `; not feasible, it has sent seqno ${best.seqno} metric ${best.metric}` : '';
    const text = `node ${node} goes by node ${via}, which last said ${wordsOf(heard)}${why}`;
    throw new Violation('b', text, this.#texts[prefix]!, node, via);
  }

  sent(_from: number, _to: number, packet: readonly Seen[]): void {
    for (const seen of packet) if (seen.kind === 'update' && seen.metric < infinity) this.#justSent.push(seen);
  }

  #noteSent(from: number, update: SeenUpdate, now: Millis): void {
    const prefix = this.#indexOf(update.prefix);
    if (prefix === undefined) return;
    const via = this.#hops.via(from, prefix);
    if (via === own) {
      this.#checkOwnSeqno(from, update);
      return;
    }
    const words = said(this.#routerOf(update.routerId), update.seqno, update.metric);
    const given = via >= 0 ? this.#heard.get(from, via, prefix) : nothing;
    const isSame = routerIn(given) === routerIn(words) && seqnoIn(given) === update.seqno;
    if (isSame && update.metric <= metricIn(given)) {
      const text = `node ${from} sends metric ${update.metric}, but was given ${metricIn(given)}`;
      throw new Violation('e', text, update.prefix, from);
    }
    if (this.#announced.note(from, prefix, words, now)) this.#touched.add(prefix);
  }

  #checkOwnSeqno(node: number, { prefix, routerId, seqno }: SeenUpdate): void {
    const numbering = this.#numbering(node, routerId);
    const { seqno: before, asked } = numbering;
    numbering.seqno = seqno;
    if (before === undefined || before === seqno) return;
    const steps = (seqno - before) & 0xffff;
    numbering.asked = Math.max(0, asked - steps);
    if (steps < 0x8000 && steps <= asked) return;
    throw new Violation(
      'k',
      `node ${node} went from its seqno ${before} to ${seqno}, asked ${asked} times`,
      prefix,
      node,
    );
  }

  #numbering(node: number, routerId: string): Numbering {
    this.#numberings[node] ??= new Map();
    let numbering = this.#numberings[node].get(routerId);
    if (!numbering) {
      numbering = { seqno: undefined, asked: 0 };
      this.#numberings[node].set(routerId, numbering);
    }
    return numbering;
  }

  delivered(from: number, to: number, packet: readonly Seen[], now: Millis, isOfFormerStart = false): void {
    if (!isOfFormerStart && this.#hops.spoke(from, to)) this.#reconnected(from, to);
    let overtaken = false;
    for (const seen of packet) {
      if (seen.kind === 'hello') overtaken = this.#isOvertaken(from, to, seen.seqno);
      // The retraction with which a tunnel begins, late: it says nothing of what was announced since.
      else if (seen.kind === 'update' && overtaken && seen.prefix === '*') continue;
      else if (seen.kind === 'update') this.#noteHeard(from, to, seen, now);
      else if (seen.kind === 'seqnoRequest') this.#noteAsked(to, seen);
    }
  }

  /** What the node sends by the peer comes to somebody again, so it may come round. */
  #reconnected(peer: number, node: number): void {
    for (const prefix of this.#texts.keys()) {
      if (this.#hops.leadsTo(node, prefix, peer)) this.#moved.add(prefix);
    }
  }

  /** True for a Hello behind one that came before it, or the same again. */
  #isOvertaken(from: number, to: number, seqno: number): boolean {
    this.#newestHello[to] ??= new Map();
    const newest = this.#newestHello[to].get(from);
    if (newest !== undefined && ((newest - seqno) & 0xffff) < 16) return true;
    this.#newestHello[to].set(from, seqno);
    return false;
  }

  #noteHeard(from: number, to: number, update: SeenUpdate, now: Millis): void {
    if (update.prefix === '*') {
      this.#forgetHeard(to, from);
      return;
    }
    const prefix = this.#indexOf(update.prefix);
    if (prefix === undefined) return;
    const isShared = this.#shared.has(update.prefix);
    if (update.metric < infinity && this.#isOldEpoch(to, prefix, update, isShared)) return;
    const words = said(this.#routerOf(update.routerId), update.seqno, update.metric);
    if (this.#isIgnored(from, to, prefix, words, now)) return;
    if (isShared) {
      const loop = this.#loops.outlived(from, to, prefix);
      if (loop) {
        const text = `the loop ${loop.join(' -> ')} outlives ${loop.length} updates at each node`;
        throw new Violation('f', text, update.prefix, ...loop);
      }
    }
    this.#heard.set(to, from, prefix, words);
    if (this.#hops.leadsTo(to, prefix, from)) this.#touched.add(prefix);
  }

  /**
   * Of the route in use, an update that is not feasible may be ignored entirely (RFC 8966 §3.5.3): what counts is then
   * what was said before. (A Hello before it in the packet may have brought the route back into use: hence `none`.)
   */
  #isIgnored(from: number, to: number, prefix: PrefixIndex, words: Said, now: Millis): boolean {
    const via = this.#hops.via(to, prefix);
    if ((via !== from && via !== none) || metricIn(words) === infinity) return false;
    if (routerIn(this.#heard.get(to, from, prefix)) !== routerIn(words)) return false;
    return !this.#announced.isFeasible(to, prefix, words, now);
  }

  /**
   * A weft router-id is node number and epoch: of each node only the highest epoch heard of counts, and updates of an
   * older one are refused (docs/protocol/babel.md, Router-id). Heard of with the proof: that an epoch began is believed
   * of nobody else.
   */
  #isOldEpoch(node: number, prefix: PrefixIndex, { routerId, signed }: SeenUpdate, isShared: boolean): boolean {
    this.#newestRouter[node] ??= [];
    const newest = this.#newestRouter[node][prefix] ?? '';
    if (isShared || (signed && routerId > newest)) this.#newestRouter[node][prefix] = routerId;
    return !isShared && routerId < newest;
  }

  /** Only what its originator was asked, and only for something newer than it has said. */
  #noteAsked(node: number, { prefix, routerId, seqno }: SeenSeqnoRequest): void {
    if (this.via(node, prefix) !== own) return;
    const numbering = this.#numbering(node, routerId);
    if (numbering.seqno === undefined || isNewer(seqno, numbering.seqno)) numbering.asked++;
  }

  #forgetHeard(node: number, peer: number): void {
    for (const prefix of this.#heard.forget(node, peer)) this.#touched.add(prefix);
  }

  linkDown(node: number, peer: number): void {
    this.#hops.spoke(peer, node);
    this.#newestHello[node]?.delete(peer);
    this.#forgetHeard(node, peer);
  }

  died(node: number): void {
    this.#hops.died(node);
    for (const text of this.#shared) {
      const prefix = this.#prefixes.get(text);
      if (prefix !== undefined) this.#moved.add(prefix);
    }
  }

  /**
   * A node that starts has no tables: what it sent before is no longer its to remember, and nobody else's is forgotten.
   */
  started(node: number): void {
    this.died(node);
    this.#heard.forgetNode(node);
    this.#announced.forgetNode(node);
    this.#newestHello[node] = undefined;
    this.#newestRouter[node] = [];
    this.#numberings[node] = undefined;
  }
}

function wordsOf(heard: Said): string {
  if (heard === nothing) return 'nothing';
  return metricIn(heard) === infinity ? 'a retraction' : `seqno ${seqnoIn(heard)} metric ${metricIn(heard)}`;
}
