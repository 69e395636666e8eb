import type { Endpoint } from '../addr/endpoint.js';
import type { InvitingMember } from '../addr/invitation.js';
import type { NodeNumber } from '../addr/node-number.js';
import type { Directory } from '../mesh/directory.js';
import type { Random } from '../random.js';
import { type Millis, minute, never, second } from '../time.js';
import type { Tunnels } from './tunnels.js';

const firstPause: Millis = second;
const longestPause: Millis = minute;

interface Attempt {
  pause: Millis;
  at: Millis;
  running: boolean;
}

export interface Dial {
  readonly node: NodeNumber;
  readonly publicKey: Uint8Array;
  readonly endpoints: readonly Endpoint[];
}

/**
 * Tries to have a tunnel to every node of the directory that has endpoints, again and again with growing pauses. Both ends
 * try, which is what opens a NAT from within.
 */
export class Dialler {
  readonly #own: NodeNumber;
  readonly #directory: Directory;
  readonly #random: Random;
  readonly #seeds: readonly InvitingMember[];
  readonly #attempts = new Map<NodeNumber, Attempt>();
  #due: Millis = never;

  /** `seeds`: the members our invitation named, for as long as the directory does not know them. */
  constructor(own: NodeNumber, directory: Directory, random: Random, seeds: readonly InvitingMember[]) {
    this.#own = own;
    this.#directory = directory;
    this.#random = random;
    this.#seeds = seeds;
    for (const seed of seeds) this.retry(seed.number, 0);
    for (const record of directory.records()) this.retry(record.node.number, 0);
  }

  /** There is news about this node: try now, unless a try runs. */
  retry(node: NodeNumber, now: Millis): void {
    if (node === this.#own) return;
    const attempt = this.#attempts.get(node);
    if (attempt?.running) return;
    this.#attempts.set(node, { pause: firstPause, at: now, running: false });
    this.#due = Math.min(this.#due, now);
  }

  /** Our own network changed: what failed before may work now. */
  retryAll(now: Millis): void {
    for (const node of [...this.#attempts.keys()]) this.retry(node, now);
  }

  connected(node: NodeNumber): void {
    this.#attempts.delete(node);
  }

  lost(node: NodeNumber, now: Millis): void {
    this.#attempts.delete(node);
    this.retry(node, now);
  }

  failed(node: NodeNumber, now: Millis): void {
    const attempt = this.#attempts.get(node);
    if (!attempt) return;
    attempt.running = false;
    attempt.at = now + attempt.pause * (0.8 + 0.4 * this.#random.unit());
    attempt.pause = Math.min(longestPause, attempt.pause * 2);
    this.#due = Math.min(this.#due, attempt.at);
  }

  forget(node: NodeNumber): void {
    this.#attempts.delete(node);
  }

  isTrying(node: NodeNumber): boolean {
    return this.#attempts.get(node)?.running ?? false;
  }

  /** The tries that run. */
  trying(): Dial[] {
    const running = [...this.#attempts].filter(([, attempt]) => attempt.running);
    return running.map(([node]) => this.wayTo(node)).filter((dial) => dial !== undefined);
  }

  deadline(): Millis {
    return this.#due;
  }

  /** The dials to make now. */
  due(now: Millis, tunnels: Tunnels): Dial[] {
    if (now < this.#due) return [];
    this.#due = never;
    const dials: Dial[] = [];
    for (const [node, attempt] of this.#attempts) {
      if (attempt.running) continue;
      if (attempt.at > now) {
        this.#due = Math.min(this.#due, attempt.at);
        continue;
      }
      const dial = this.wayTo(node);
      if (!dial || tunnels.tunnelTo(node)) {
        this.#attempts.delete(node);
        continue;
      }
      attempt.running = true;
      dials.push(dial);
    }
    return dials;
  }

  /** Key and endpoints of a node, from its record or from our invitation. */
  wayTo(node: NodeNumber): Dial | undefined {
    const record = this.#directory.byNumber(node);
    if (record) {
      return record.endpoints.length > 0 ? { node, publicKey: record.node.dh, endpoints: record.endpoints } : undefined;
    }
    const seeds = this.#seeds.filter((seed) => seed.number === node);
    return seeds[0] && { node, publicKey: seeds[0].dh, endpoints: seeds.map((seed) => seed.endpoint) };
  }
}
