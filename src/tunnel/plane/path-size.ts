import { type Millis, minute } from '../../time.js';
import { smallestPathSize } from './link-shared.js';

/**
 * What paths are made of: Ethernet, PPPoE, IPv6 in IPv4, mobile and tunnelled ones, IPv6's least, and what is below it.
 */
const pathSizes = [
  1472, 1464, 1452, 1432, 1412, 1392, 1372, 1352, 1332, 1312, 1292, 1272, 1252, 1232, 1204, 1176, 1148, 1120,
] as const;

/**
 * A search begins with the few that matter: most paths are Ethernet's; 1452 holds a full packet relayed, and is Ethernet's
 * over IPv6; 1412 holds one direct. Who moves with many tunnels has each of them searched on one line, and each probe that
 * passes weighs on it: so all sizes are tried only around what coarser steps found.
 */
const rounds: readonly (readonly number[])[] = [
  [1472, 1452, 1412],
  [1472, 1452, 1412, 1372, 1312, 1232, 1148],
  pathSizes,
];
/** At least; where answers take longer, a round waits for those to the one before. */
const roundEvery: Millis = 250;
const searchEvery: Millis = minute;
const verifyEvery: Millis = 3000;
/** At least: the first try and the last get the time an answer takes. */
const verifyAgain: Millis = 200;
const verifyTries = 4;

/**
 * How large a datagram passes to one neighbour. Only sealed echoes are believed: a forged ICMP message changes nothing.
 *
 * A search sends padded probes of the sizes above the one in use, in three rounds, each of more sizes; the largest echoed
 * counts. While traffic flows, a probe of the size in use goes out every 3 s, else every 30; when four in a row are lost
 * and the tunnel lives, the path has shrunk and is searched anew. `answerTime`: how long one takes on this path at most,
 * as a rule.
 */
export class PathSize {
  #size: number = smallestPathSize;
  #round = 0;
  #searchAt: Millis;
  /** When the last round of this search went out. */
  #askedAt: Millis = 0;
  #verifyAt: Millis;
  #unanswered = 0;
  #busy = false;

  constructor(now: Millis) {
    this.#searchAt = now;
    this.#verifyAt = now + verifyEvery;
  }

  get size(): number {
    return this.#size;
  }

  /**
   * The sizes to probe now, largest first; empty when nothing is due. `alive`: the tunnel answers; `busy`: it is used.
   */
  due(now: Millis, alive: boolean, busy: boolean, answerTime: Millis): readonly number[] {
    if (!alive) return [];
    if (now >= this.#roundDue(answerTime)) {
      const sizes = rounds[this.#round]!;
      this.#round = (this.#round + 1) % rounds.length;
      this.#askedAt = now;
      this.#searchAt = now + searchEvery;
      return sizes.filter((size) => size > this.#size);
    }
    // What was verified while idle may be long ago: a tunnel that is used again looks soon.
    if (busy && !this.#busy && this.#unanswered === 0) this.#verifyAt = Math.min(this.#verifyAt, now + verifyAgain);
    this.#busy = busy;
    if (now < this.#verifyAt || this.#size === smallestPathSize) return [];
    if (this.#unanswered >= verifyTries) {
      this.restart(now);
      return [];
    }
    this.#unanswered++;
    const waits = this.#unanswered === 1 || this.#unanswered === verifyTries;
    this.#verifyAt = now + (waits ? Math.max(verifyAgain, answerTime) : verifyAgain);
    return [this.#size];
  }

  /** A probe of this size came back. */
  passed(size: number, now: Millis): void {
    if (size > pathSizes[0] || size < this.#size) return;
    this.#size = size;
    this.#unanswered = 0;
    this.#verifyAt = now + (this.#busy ? 1 : 10) * verifyEvery;
  }

  /** Another path, or a smaller one: begin from the least. */
  restart(now: Millis): void {
    this.#size = smallestPathSize;
    this.#round = 0;
    this.#searchAt = now;
    this.#unanswered = 0;
  }

  deadline(answerTime: Millis): Millis {
    const round = this.#roundDue(answerTime);
    return this.#size === smallestPathSize ? round : Math.min(round, this.#verifyAt);
  }

  #roundDue(answerTime: Millis): Millis {
    return this.#round === 0 ? this.#searchAt : this.#askedAt + Math.max(roundEvery, answerTime);
  }
}
