import type { Millis } from '../../src/time.js';
import type { Checker } from './checker.js';
import { infinity, isNewer, type Seen, type SeenSeqnoRequest, type SeenUpdate } from './packet-view.js';

/** Where a node sends packets for a prefix: a neighbour's node index, or one of these. */
export type Via = number;
export const own: Via = -1;
export const none: Via = -2;

/** An invariant that does not hold, said with the letter of the list below. */
export class Violation extends Error {
  override readonly name = 'Violation';
  readonly prefix: string;
  /** Whose event it was. */
  readonly node: number;

  constructor(message: string, prefix: string, node: number) {
    super(message);
    this.prefix = prefix;
    this.node = node;
  }
}

/** Longer ago than this, what a node sent may have left its source table (RFC 8966 §3.7.3; Appendix B: 180 s). */
const sourceLifetime: Millis = 175_000;

interface Sent {
  seqno: number;
  metric: number;
  at: Millis;
}

/** A loop, and how many updates its nodes have heard from their next hops since it came to be. */
interface Loop {
  readonly prefix: string;
  readonly nodes: readonly number[];
  readonly heard: Map<number, number>;
}

export interface InvariantOptions {
  /** Prefixes with more than one originator: their loops may exist for a while (RFC 8966 §2.8, invariant f). */
  readonly shared?: readonly string[];
  /** Only these prefixes are watched; all, when undefined. */
  readonly only?: (prefix: string) => boolean;
  /** False: loops only, without reading a single packet. */
  readonly packets?: boolean;
}

/**
 * Watches a network from outside, by the next hops its nodes report and the packets they really send, and throws a Violation
 * at the event that breaks one of these:
 *
 *   a  The selected next hops for a prefix with one originator never form a loop.
 *   b  What the selected next hop last said, unless it may be ignored, is finite and feasible: better than anything the node has sent for that source
 *      since the source was last used (which is also d: the feasibility distance is no worse than what was ever sent).
 *   e  A node sends a metric greater than the one it was given by its next hop, at the same seqno.
 *   f  A loop between routes of several originators does not outlive as many updates at each of its nodes as it has nodes.
 *   k  An originator's seqno never grows by more than it was asked to.
 *
 * Everything is derived from the packets by a reader of its own, so a mistake in the speaker's tables cannot hide itself.
 */
export class Invariants implements Checker {
  readonly #options: InvariantOptions;
  readonly #shared: ReadonlySet<string>;
  /** By prefix, then by node. */
  readonly #vias = new Map<string, Via[]>();
  /** By node, then by peer and prefix. */
  readonly #heard: Map<number, Map<string, SeenUpdate>>[] = [];
  /** By node, then by prefix and router-id. */
  readonly #sent: Map<string, Sent>[] = [];
  /** By node and prefix. */
  readonly #newestRouter = new Map<string, string>();
  /** By node and peer: the newest Hello delivered. */
  readonly #newestHello = new Map<string, number>();
  /** Node and peer: the tunnel is to a start of the peer that is over. */
  readonly #void = new Set<string>();
  /** By node and prefix. */
  readonly #spares = new Map<string, readonly Via[]>();
  readonly #asked = new Map<string, number>();
  readonly #ownSeqno = new Map<string, number>();
  readonly #touched = new Set<string>();
  /** Sent by the node that is at work; looked at when it has settled, and its new next hops are known. */
  readonly #justSent: SeenUpdate[] = [];
  /** Loops between routes of several originators, by prefix and nodes. */
  readonly #loops = new Map<string, Loop>();
  /** How many there have been. */
  loopsSeen = 0;
  checks = 0;
  /** How many have been seen. */
  #nodes = 0;

  constructor(options: InvariantOptions = {}) {
    this.#options = options;
    this.#shared = new Set(options.shared);
  }

  via(node: number, prefix: string): Via {
    return this.#vias.get(prefix)?.[node] ?? none;
  }

  /** A node reports what it selected, and the spare next hops its forwarding table may take before routing says so. */
  chosen(node: number, prefix: string, via: Via, spares: readonly Via[] = []): void {
    if (!this.#watches(prefix)) return;
    let vias = this.#vias.get(prefix);
    if (!vias) {
      vias = [];
      this.#vias.set(prefix, vias);
    }
    vias[node] = via;
    this.#nodes = Math.max(this.#nodes, node + 1);
    if (this.#options.packets !== false) this.#spares.set(`${node} ${prefix}`, spares);
    this.#touched.add(prefix);
  }

  settled(node: number, now: Millis): void {
    for (const update of this.#justSent.splice(0)) this.#noteSent(node, update, now);
    if (this.#touched.size === 0) return;
    for (const prefix of this.#touched) this.#check(node, prefix, now);
    this.#touched.clear();
  }

  #check(node: number, prefix: string, now: Millis): void {
    this.checks++;
    const vias = this.#vias.get(prefix);
    const via = vias?.[node] ?? none;
    if (!vias || via < 0) return;
    if (this.#shared.has(prefix)) this.#watchLoop(node, prefix);
    else this.#checkLoop(node, prefix);
    if (this.#options.packets === false) return;
    if (!this.#shared.has(prefix)) this.#checkMixedLoop(node, prefix);
    this.#checkFeasible(node, prefix, via, now);
    for (const spare of this.#spares.get(`${node} ${prefix}`) ?? []) this.#checkFeasible(node, prefix, spare, now);
  }

  /**
   * Where the node's packets for a prefix come to. A neighbour that died, and started anew, has not the keys of the tunnel
   * that leads to what it was: it drops what still comes there, and forwards nothing of it.
   */
  #next(node: number, prefix: string): Via {
    return this.#alive(node, this.#vias.get(prefix)?.[node] ?? none);
  }

  #alive(node: number, via: Via): Via {
    return this.#void.size > 0 && this.#void.has(`${node} ${via}`) ? none : via;
  }

  #checkLoop(node: number, prefix: string): void {
    const loop = this.#loopFrom(node, prefix);
    if (loop) throw new Violation(`a: loop ${loop.join(' -> ')}`, prefix, node);
  }

  /** The nodes that packets of this one come to again and again, if they do. */
  #loopFrom(node: number, prefix: string): number[] | undefined {
    const way = [node];
    for (let at = this.#next(node, prefix); at >= 0; at = this.#next(at, prefix)) {
      const known = way.indexOf(at);
      if (known >= 0) return way.slice(known);
      way.push(at);
    }
    return undefined;
  }

  /** Notes a loop between several originators' routes, and looks at those there are. */
  #watchLoop(node: number, prefix: string): void {
    for (const [key, loop] of this.#loops) {
      if (loop.prefix === prefix && this.#loopFrom(loop.nodes[0]!, prefix)?.length !== loop.nodes.length)
        this.#loops.delete(key);
    }
    const nodes = this.#loopFrom(node, prefix);
    if (!nodes) return;
    const key = `${prefix} ${[...nodes].sort((a, b) => a - b).join(' ')}`;
    if (this.#loops.has(key)) return;
    this.#loops.set(key, { prefix, nodes, heard: new Map() });
    this.loopsSeen++;
  }

  /** Invariant f: an update has come from a next hop in a loop. */
  #noteExchange(from: number, to: number, prefix: string): void {
    for (const { prefix: about, nodes, heard } of this.#loops.values()) {
      if (about !== prefix || this.#next(to, prefix) !== from || !nodes.includes(to)) continue;
      heard.set(to, (heard.get(to) ?? 0) + 1);
      if (nodes.some((node) => (heard.get(node) ?? 0) <= nodes.length)) continue;
      throw new Violation(
        `f: the loop ${nodes.join(' -> ')} outlives ${nodes.length} updates at each node`,
        prefix,
        to,
      );
    }
  }

  /** No node on any mixture of selected and spare next hops from here leads back here. */
  #checkMixedLoop(node: number, prefix: string): void {
    const reached = new Set<number>();
    const open = [node];
    for (let at = open.pop(); at !== undefined; at = open.pop()) {
      for (const via of [this.#vias.get(prefix)?.[at] ?? none, ...(this.#spares.get(`${at} ${prefix}`) ?? [])]) {
        const next = this.#alive(at, via);
        if (next === node) throw new Violation(`a: a loop by spare next hops, back from node ${at}`, prefix, node);
        if (next < 0 || reached.has(next)) continue;
        reached.add(next);
        open.push(next);
      }
    }
  }

  #checkFeasible(node: number, prefix: string, via: number, now: Millis): void {
    const heard = this.#heardBy(node, via).get(prefix);
    if (!heard || heard.metric >= infinity) {
      throw new Violation(
        `b: node ${node} goes by node ${via}, which last said ${heard ? 'a retraction' : 'nothing'}`,
        prefix,
        node,
      );
    }
    if (this.#isFeasible(node, heard, now)) return;
    const sent = this.#sent[node]?.get(`${prefix} ${heard.routerId}`);
    throw new Violation(
      `b: node ${node} goes by node ${via}, which said seqno ${heard.seqno} metric ${heard.metric}; not feasible, it has sent seqno ${sent?.seqno} metric ${sent?.metric}`,
      prefix,
      node,
    );
  }

  #isFeasible(node: number, heard: SeenUpdate, now: Millis): boolean {
    const sent = this.#sent[node]?.get(`${heard.prefix} ${heard.routerId}`);
    if (!sent || now - sent.at > sourceLifetime || isNewer(heard.seqno, sent.seqno)) return true;
    return heard.seqno === sent.seqno && heard.metric < sent.metric;
  }

  #heardBy(node: number, peer: number): Map<string, SeenUpdate> {
    this.#heard[node] ??= new Map();
    let table = this.#heard[node]!.get(peer);
    if (!table) {
      table = new Map();
      this.#heard[node]!.set(peer, table);
    }
    return table;
  }

  sent(_from: number, _to: number, packet: readonly Seen[]): void {
    if (this.#options.packets === false) return;
    for (const seen of packet) {
      if (seen.kind === 'update' && seen.metric < infinity && this.#watches(seen.prefix)) this.#justSent.push(seen);
    }
  }

  #watches(prefix: string): boolean {
    return !this.#options.only || this.#options.only(prefix);
  }

  #noteSent(from: number, update: SeenUpdate, now: Millis): void {
    const via = this.via(from, update.prefix);
    if (via === own) {
      this.#checkOwnSeqno(from, update);
      return;
    }
    const given = via >= 0 ? this.#heardBy(from, via).get(update.prefix) : undefined;
    const same = given && given.routerId === update.routerId && given.seqno === update.seqno;
    if (same && update.metric <= given.metric) {
      throw new Violation(
        `e: node ${from} sends metric ${update.metric}, but was given ${given.metric}`,
        update.prefix,
        from,
      );
    }
    this.#touched.add(update.prefix);
    this.#sent[from] ??= new Map();
    const key = `${update.prefix} ${update.routerId}`;
    const before = this.#sent[from]!.get(key);
    if (!before || now - before.at > sourceLifetime || isNewer(update.seqno, before.seqno)) {
      this.#sent[from]!.set(key, { seqno: update.seqno, metric: update.metric, at: now });
      return;
    }
    before.at = now;
    if (update.seqno === before.seqno) before.metric = Math.min(before.metric, update.metric);
  }

  #checkOwnSeqno(node: number, update: SeenUpdate): void {
    const key = `${update.prefix} ${update.routerId}`;
    const before = this.#ownSeqno.get(update.routerId);
    this.#ownSeqno.set(update.routerId, update.seqno);
    if (before === undefined || before === update.seqno) return;
    const steps = (update.seqno - before) & 0xffff;
    const asked = this.#asked.get(update.routerId) ?? 0;
    this.#asked.set(update.routerId, Math.max(0, asked - steps));
    if (steps >= 0x8000 || steps > asked) {
      throw new Violation(
        `k: node ${node} went from its seqno ${before} to ${update.seqno}, asked ${asked} times (${key})`,
        update.prefix,
        node,
      );
    }
  }

  delivered(from: number, to: number, packet: readonly Seen[], now: Millis): void {
    if (this.#void.size > 0) this.#void.delete(`${to} ${from}`);
    if (this.#options.packets === false) return;
    let overtaken = false;
    for (const seen of packet) {
      if (seen.kind === 'hello') overtaken = this.#isOvertaken(from, to, seen.seqno);
      // The retraction with which a tunnel begins, late: it says nothing of what was announced since.
      else if (seen.kind === 'update' && overtaken && seen.prefix === '*') continue;
      else if (seen.kind === 'update') this.#noteHeard(from, to, seen, now);
      else if (seen.kind === 'seqnoRequest') this.#noteAsked(to, seen);
    }
  }

  /** True for a Hello behind one that came before it, or the same again. */
  #isOvertaken(from: number, to: number, seqno: number): boolean {
    const key = `${to} ${from}`;
    const newest = this.#newestHello.get(key);
    if (newest !== undefined && ((newest - seqno) & 0xffff) < 16) return true;
    this.#newestHello.set(key, seqno);
    return false;
  }

  #noteHeard(from: number, to: number, update: SeenUpdate, now: Millis): void {
    if (update.prefix === '*') {
      this.#forgetHeard(to, from);
      return;
    }
    if (!this.#watches(update.prefix)) return;
    // Of the route in use, an update that is not feasible may be ignored entirely (RFC 8966 §3.5.3): what counts is then
    // what was said before.
    const before = this.#heardBy(to, from).get(update.prefix);
    if (update.metric < infinity && this.#isOldEpoch(to, update)) return;
    // (A Hello before it in the packet may have brought the route back into use: hence `none`.)
    const via = this.via(to, update.prefix);
    const ignorable = (via === from || via === none) && before?.routerId === update.routerId;
    if (ignorable && update.metric < infinity && !this.#isFeasible(to, update, now)) return;
    if (this.#shared.has(update.prefix)) this.#noteExchange(from, to, update.prefix);
    this.#heardBy(to, from).set(update.prefix, update);
    this.#touched.add(update.prefix);
  }

  /**
   * A weft router-id is node number and epoch: of each node only the highest epoch heard of counts, and updates of an older
   * one are refused (docs/protocol/babel.md, Router-id). Heard of with the proof: that an epoch began is believed of nobody else.
   */
  #isOldEpoch(node: number, update: SeenUpdate): boolean {
    const key = `${node} ${update.prefix}`;
    const newest = this.#newestRouter.get(key) ?? '';
    if ((update.routerId > newest && update.signed) || this.#shared.has(update.prefix)) {
      this.#newestRouter.set(key, update.routerId);
    }
    return update.routerId < newest && !this.#shared.has(update.prefix);
  }

  /** Only what its originator was asked, and only for something newer than it has said. */
  #noteAsked(node: number, { prefix, routerId, seqno }: SeenSeqnoRequest): void {
    const last = this.#ownSeqno.get(routerId);
    if (this.via(node, prefix) !== own || (last !== undefined && !isNewer(seqno, last))) return;
    this.#asked.set(routerId, (this.#asked.get(routerId) ?? 0) + 1);
  }

  #forgetHeard(node: number, peer: number): void {
    for (const prefix of this.#heardBy(node, peer).keys()) this.#touched.add(prefix);
    this.#heardBy(node, peer).clear();
  }

  linkDown(node: number, peer: number): void {
    this.#void.delete(`${node} ${peer}`);
    this.#newestHello.delete(`${node} ${peer}`);
    if (this.#options.packets !== false) this.#forgetHeard(node, peer);
  }

  /** The dead forward nothing. */
  died(node: number): void {
    for (let other = 0; other < this.#nodes; other++) if (other !== node) this.#void.add(`${other} ${node}`);
    for (const vias of this.#vias.values()) vias[node] = none;
    for (const prefix of this.#vias.keys()) this.#spares.delete(`${node} ${prefix}`);
  }

  /** A node that starts has no tables: what it sent before is no longer its to remember. */
  started(node: number): void {
    this.died(node);
    delete this.#heard[node];
    for (const key of this.#newestHello.keys()) if (key.startsWith(`${node} `)) this.#newestHello.delete(key);
    delete this.#sent[node];
    this.#ownSeqno.clear();
    for (const key of this.#newestRouter.keys()) if (key.startsWith(`${node} `)) this.#newestRouter.delete(key);
  }
}
