import type { Millis } from '../../src/time.js';
import type { Checker } from './checker.js';
import { type Via, Violation } from './invariants.js';
import type { Seen, SeenSeqnoRequest } from './packet-view.js';

/** The hop count of who asks for itself (RFC 8966 §3.8.2.1 suggests 64). */
const ownHops = 64;
/** The same request to the same neighbour, so long after the last: it was not acknowledged, and is said again. */
const repeatedAfter: Millis = 450;
/** A request is remembered so long: what is not acknowledged is said again for half a minute. */
const memory: Millis = 60_000;

interface Passed {
  at: Millis;
  /** Askers, and the largest hop count that came. */
  readonly askers: Set<number>;
  largestHops: number;
  /** How often it came, and how often the way to the originator has changed since it first came. */
  allowed: number;
  forwarded: number;
  /** By neighbour: when each of the forwarded ones was last sent there. */
  readonly sentTo: Map<number, Millis[]>;
}

/**
 *   k  A node passes a seqno request on at most once for each time it came, to one neighbour, and not to the only one that
 *      asked; a change of its own way to the originator allows once more. The hop count goes down (RFC 8966 §3.8.1.2).
 */
export class SeqnoRequests implements Checker {
  /** By node, prefix, router-id and seqno. */
  readonly #passed = new Map<string, Passed>();
  /** The same, of requests of its own. */
  readonly #asksItself = new Map<string, Millis>();
  readonly #vias = new Map<string, Via>();
  /** Of the node at work. */
  readonly #justSent: { readonly to: number; readonly seen: SeenSeqnoRequest; readonly now: Millis }[] = [];
  forwards = 0;

  delivered(from: number, to: number, packet: readonly Seen[], now: Millis): void {
    for (const seen of packet) {
      if (seen.kind !== 'seqnoRequest') continue;
      const key = keyOf(to, seen);
      let passed = this.#passed.get(key);
      if (!passed || now - passed.at > memory) {
        passed = { at: now, askers: new Set(), largestHops: 0, allowed: 0, forwarded: 0, sentTo: new Map() };
        this.#passed.set(key, passed);
      }
      passed.at = now;
      passed.askers.add(from);
      passed.largestHops = Math.max(passed.largestHops, seen.hopCount);
      passed.allowed++;
    }
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
    if (seen.hopCount === ownHops) this.#asksItself.set(key, now);
    if (now - (this.#asksItself.get(key) ?? Number.NEGATIVE_INFINITY) < memory) return;
    const passed = this.#passed.get(key);
    const wrong = passed ? this.#wrongWith(passed, to, seen, now) : 'that nobody asked it for';
    if (wrong) throw new Violation(`k: node ${from} passes on a seqno request to ${to} ${wrong}`, seen.prefix, from);
  }

  #wrongWith(passed: Passed, to: number, seen: SeenSeqnoRequest, now: Millis): string | undefined {
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
    if (seen.hopCount === 0 || seen.hopCount >= passed.largestHops) return `with hop count ${seen.hopCount}`;
    if (passed.askers.size === 1 && passed.askers.has(to)) return 'that came from there alone';
    if (passed.forwarded > passed.allowed) return `the ${passed.forwarded}th time, for ${passed.allowed} that came`;
    return undefined;
  }

  chosen(node: number, prefix: string, via: Via): void {
    const at = `${node} ${prefix} `;
    if (this.#vias.get(at) === via) return;
    this.#vias.set(at, via);
    for (const [key, passed] of this.#passed) if (key.startsWith(at)) passed.allowed++;
  }
}

function keyOf(node: number, { prefix, routerId, seqno }: SeenSeqnoRequest): string {
  return `${node} ${prefix} ${routerId} ${seqno}`;
}
