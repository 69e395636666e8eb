import type { Millis } from '../../src/time.js';
import type { Checker } from './checker.js';
import type { Via } from './next-hops.js';
import type { Seen, SeenSeqnoRequest } from './packet-view.js';
import { Remembered } from './remembered.js';
import { Violation } from './violation.js';

/** The hop count of who asks for itself (RFC 8966 §3.8.2.1 suggests 64). */
const ownHops = 64;
/** The same request to the same neighbour, so long after the last: it was not acknowledged, and is said again. */
const repeatedAfter: Millis = 450;
/** A request is remembered so long: what is not acknowledged is said again for half a minute. */
const memory: Millis = 60_000;

interface Passed {
  /** Askers, and the largest hop count that came. */
  readonly askers: Set<number>;
  largestHops: number;
  /** How often it came since it is remembered. */
  came: number;
  /** How often the way to the originator had changed when it first came. */
  readonly changesBefore: number;
  forwarded: number;
  /** By neighbour: when each of the forwarded ones was last sent there. */
  readonly sentTo: Map<number, Millis[]>;
}

/** A node's next hop for a prefix, and how often that has changed. */
interface Way {
  via: Via;
  changes: number;
}

/**
 *   k  A node passes a seqno request on at most once for each time it came, to one neighbour, and not to the only one that
 *      asked; a change of its own way to the originator allows once more. The hop count goes down (RFC 8966 §3.8.1.2).
 */
export class SeqnoRequests implements Checker {
  /** By node, prefix, router-id and seqno. */
  readonly #passed = new Remembered<Passed>(memory);
  /** The same, of requests of its own. */
  readonly #asksItself = new Remembered<true>(memory);
  /** By node and prefix. */
  readonly #ways = new Map<string, Way>();
  /** Of the node at work. */
  readonly #justSent: { readonly to: number; readonly seen: SeenSeqnoRequest; readonly now: Millis }[] = [];
  forwards = 0;

  /** How many requests are remembered. */
  get size(): number {
    return this.#passed.size + this.#asksItself.size;
  }

  delivered(from: number, to: number, packet: readonly Seen[], now: Millis): void {
    for (const seen of packet) {
      if (seen.kind !== 'seqnoRequest') continue;
      const key = keyOf(to, seen);
      const passed = this.#passed.get(key, now) ?? this.#fresh(to, seen);
      passed.askers.add(from);
      passed.largestHops = Math.max(passed.largestHops, seen.hopCount);
      passed.came++;
      this.#passed.keep(key, passed, now);
    }
  }

  #fresh(node: number, { prefix }: SeenSeqnoRequest): Passed {
    const changesBefore = this.#changes(node, prefix);
    return { askers: new Set(), largestHops: 0, came: 0, changesBefore, forwarded: 0, sentTo: new Map() };
  }

  #changes(node: number, prefix: string): number {
    return this.#ways.get(`${node} ${prefix}`)?.changes ?? 0;
  }

  sent(_from: number, to: number, packet: readonly Seen[], now: Millis): void {
    for (const seen of packet) if (seen.kind === 'seqnoRequest') this.#justSent.push({ to, seen, now });
  }

  /** Only now is it known whether its way has changed. */
  settled(node: number): void {
    for (const { to, seen, now } of this.#justSent.splice(0)) this.#check(node, to, seen, now);
  }

  #check(from: number, to: number, seen: SeenSeqnoRequest, now: Millis): void {
    const key = keyOf(from, seen);
    if (seen.hopCount === ownHops) this.#asksItself.keep(key, true, now);
    if (this.#asksItself.get(key, now)) return;
    const passed = this.#passed.get(key, now);
    const wrong = passed
      ? this.#wrongWith(passed, this.#changes(from, seen.prefix), to, seen, now)
      : 'that nobody asked it for';
    if (wrong) throw new Violation('k', `node ${from} passes on a seqno request to ${to} ${wrong}`, seen.prefix, from);
  }

  #wrongWith(
    passed: Passed,
    changes: number,
    to: number,
    { hopCount }: SeenSeqnoRequest,
    now: Millis,
  ): string | undefined {
    this.forwards++;
    const times = passed.sentTo.get(to) ?? [];
    passed.sentTo.set(to, times);
    const repeated = times.findIndex((time) => now - time >= repeatedAfter);
    if (repeated >= 0) {
      times[repeated] = now;
      return undefined;
    }
    times.push(now);
    passed.forwarded++;
    const allowed = passed.came + changes - passed.changesBefore;
    if (hopCount === 0 || hopCount >= passed.largestHops) return `with hop count ${hopCount}`;
    if (passed.askers.size === 1 && passed.askers.has(to)) return 'that came from there alone';
    if (passed.forwarded > allowed) return `the ${passed.forwarded}th time, for ${allowed} that came`;
    return undefined;
  }

  chosen(node: number, prefix: string, via: Via): void {
    const key = `${node} ${prefix}`;
    const way = this.#ways.get(key);
    if (!way) this.#ways.set(key, { via, changes: 1 });
    else if (way.via !== via) {
      way.via = via;
      way.changes++;
    }
  }

  /** What a node was asked before it died it cannot pass on. */
  died(node: number): void {
    const isIts = (key: string) => key.startsWith(`${node} `);
    this.#passed.forget(isIts);
    this.#asksItself.forget(isIts);
  }
}

function keyOf(node: number, { prefix, routerId, seqno }: SeenSeqnoRequest): string {
  return `${node} ${prefix} ${routerId} ${seqno}`;
}
