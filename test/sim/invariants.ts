import type { Millis } from '../../src/time.js';
import type { Observer } from './network.js';
import { infinity, isNewer, readPacket, type SeenSeqnoRequest, type SeenUpdate } from './packet-view.js';

/** What a node chose for a prefix. */
export interface Choice {
  /** The neighbour's node index; `own` for a prefix of its own, `none` when there is no route. */
  readonly via: number;
  readonly metric: number;
  readonly routerId: string;
  readonly seqno: number;
  /** The metric the neighbour gave. */
  readonly refmetric: number;
}

export const own = -1;
export const none = -2;
export const noChoice: Choice = { via: none, metric: infinity, routerId: '', seqno: 0, refmetric: infinity };

/** An invariant that does not hold, said with the letter of the list below. */
export class Violation extends Error {
  override readonly name = 'Violation';
  readonly prefix: string;

  constructor(message: string, prefix: string) {
    super(message);
    this.prefix = prefix;
  }
}

/** Longer ago than this, what a node sent may have left its source table (RFC 8966 §3.7.3; Appendix B: 180 s). */
const sourceLifetime: Millis = 175_000;

interface Sent {
  seqno: number;
  metric: number;
  at: Millis;
}

/**
 * Watches a network from outside, by the choices its nodes report and the packets they really send, and throws a Violation
 * at the event that breaks one of these:
 *
 *   a  The selected next hops for a prefix with one originator never form a loop.
 *   b  A selected route has a finite metric and is feasible: better than anything its node has sent for that source since
 *      the source was last used (which is also d: the feasibility distance is no worse than what was ever sent).
 *   c  A selected route is what its neighbour last said: an update that was not accepted does not linger.
 *   e  A node sends a metric greater than the one it received from its next hop, at the same seqno.
 *   k  An originator's seqno grows by one, and never more often than it was asked to.
 *
 * Everything is derived from the packets by a reader of its own, so a mistake in the speaker's tables cannot hide itself.
 */
export class Invariants implements Observer {
  readonly #choices = new Map<string, Map<number, Choice>>();
  readonly #heard = new Map<string, SeenUpdate>();
  readonly #sent = new Map<string, Sent>();
  readonly #asked = new Map<string, number>();
  readonly #ownSeqno = new Map<string, number>();
  /** Prefixes with more than one originator: their loops may exist for a while (RFC 8966 §2.8, invariant f). */
  readonly #shared: ReadonlySet<string>;
  readonly #watchPackets: boolean;
  #maxLoopWalk = 0;
  checks = 0;

  constructor(options: { readonly shared?: readonly string[]; readonly watchPackets?: boolean } = {}) {
    this.#shared = new Set(options.shared);
    this.#watchPackets = options.watchPackets ?? true;
  }

  get longestWay(): number {
    return this.#maxLoopWalk;
  }

  choice(node: number, prefix: string): Choice {
    return this.#choices.get(prefix)?.get(node) ?? noChoice;
  }

  /** A node reports what it selected. */
  chosen(node: number, prefix: string, choice: Choice, now: Millis): void {
    let nodes = this.#choices.get(prefix);
    if (!nodes) {
      nodes = new Map();
      this.#choices.set(prefix, nodes);
    }
    nodes.set(node, choice);
    this.checks++;
    if (choice.via < 0) return;
    if (choice.metric >= infinity) throw new Violation(`b: node ${node} selected an infinite route`, prefix);
    if (!this.#shared.has(prefix)) this.#checkLoop(node, prefix, nodes);
    if (this.#watchPackets) this.#checkFeasible(node, prefix, choice, now);
  }

  #checkLoop(node: number, prefix: string, nodes: Map<number, Choice>): void {
    const way = [node];
    for (let at = nodes.get(node)!.via; at >= 0; at = nodes.get(at)?.via ?? none) {
      way.push(at);
      if (at === node || way.length > nodes.size + 1) throw new Violation(`a: loop ${way.join(' -> ')}`, prefix);
    }
    this.#maxLoopWalk = Math.max(this.#maxLoopWalk, way.length - 1);
  }

  #checkFeasible(node: number, prefix: string, choice: Choice, now: Millis): void {
    const heard = this.#heard.get(`${node} ${choice.via} ${prefix}`);
    const said = heard && `${heard.routerId} seqno ${heard.seqno} metric ${heard.metric}`;
    const chose = `${choice.routerId} seqno ${choice.seqno} metric ${choice.refmetric}`;
    if (said !== chose) {
      throw new Violation(`c: node ${node} selected ${chose} of node ${choice.via}, which last said ${said}`, prefix);
    }
    const sent = this.#sent.get(`${node} ${prefix} ${choice.routerId}`);
    if (!sent || now - sent.at > sourceLifetime) return;
    const better = isNewer(choice.seqno, sent.seqno) || (choice.seqno === sent.seqno && choice.refmetric < sent.metric);
    if (!better) {
      throw new Violation(
        `b: node ${node} selected ${chose}, not feasible: it has sent seqno ${sent.seqno} metric ${sent.metric}`,
        prefix,
      );
    }
  }

  sent(from: number, _to: number, bytes: Uint8Array, now: Millis): void {
    if (!this.#watchPackets) return;
    for (const seen of readPacket(bytes)) {
      if (seen.kind === 'update' && seen.metric < infinity) this.#noteSent(from, seen, now);
    }
  }

  #noteSent(from: number, update: SeenUpdate, now: Millis): void {
    const choice = this.choice(from, update.prefix);
    if (choice.via === own) {
      this.#checkOwnSeqno(from, update);
      return;
    }
    if (choice.via >= 0 && choice.routerId === update.routerId && choice.seqno === update.seqno) {
      if (update.metric <= choice.refmetric) {
        throw new Violation(
          `e: node ${from} sends metric ${update.metric}, but was given ${choice.refmetric}`,
          update.prefix,
        );
      }
    }
    const key = `${from} ${update.prefix} ${update.routerId}`;
    const before = this.#sent.get(key);
    if (!before || now - before.at > sourceLifetime || isNewer(update.seqno, before.seqno)) {
      this.#sent.set(key, { seqno: update.seqno, metric: update.metric, at: now });
      return;
    }
    before.at = now;
    if (update.seqno === before.seqno) before.metric = Math.min(before.metric, update.metric);
  }

  #checkOwnSeqno(node: number, update: SeenUpdate): void {
    const key = `${update.prefix} ${update.routerId}`;
    const before = this.#ownSeqno.get(key);
    this.#ownSeqno.set(key, update.seqno);
    if (before === undefined || before === update.seqno) return;
    const steps = (update.seqno - before) & 0xffff;
    const asked = this.#asked.get(key) ?? 0;
    this.#asked.set(key, 0);
    if (steps >= 0x8000 || steps > asked) {
      throw new Violation(
        `k: node ${node} went from its seqno ${before} to ${update.seqno}, asked ${asked} times`,
        update.prefix,
      );
    }
  }

  delivered(from: number, to: number, bytes: Uint8Array): void {
    if (!this.#watchPackets) return;
    for (const seen of readPacket(bytes)) {
      if (seen.kind === 'update') this.#noteHeard(from, to, seen);
      else if (seen.kind === 'seqnoRequest') this.#noteAsked(seen);
    }
  }

  #noteHeard(from: number, to: number, update: SeenUpdate): void {
    if (update.prefix === '*') this.#forgetHeard(to, from);
    else this.#heard.set(`${to} ${from} ${update.prefix}`, update);
  }

  #noteAsked(request: SeenSeqnoRequest): void {
    const key = `${request.prefix} ${request.routerId}`;
    this.#asked.set(key, (this.#asked.get(key) ?? 0) + 1);
  }

  #forgetHeard(node: number, peer: number): void {
    for (const key of this.#heard.keys()) if (key.startsWith(`${node} ${peer} `)) this.#heard.delete(key);
  }

  linkDown(node: number, peer: number): void {
    this.#forgetHeard(node, peer);
  }

  /** A node that starts has no tables: what it sent before is no longer its to remember. */
  started(node: number): void {
    for (const nodes of this.#choices.values()) nodes.delete(node);
    for (const table of [this.#sent, this.#heard]) {
      for (const key of table.keys()) if (key.startsWith(`${node} `)) table.delete(key);
    }
    this.#ownSeqno.clear();
  }
}
