import type { NodeNumber } from '../addr/node-number.js';
import { type Millis, minute } from '../time.js';
import type { StoredSeqno } from './contract.js';
import { type Epoch, maxEpoch, type RouterId, routerIdOf } from './router-id.js';
import { isNewer, type Seqno, seqnoDistance, seqnoPlus } from './seqno.js';
import type { Tuning } from './tuning.js';

const block = 16;
const first: Seqno = 1;

/**
 * An epoch has the seqnos from 0xc000 to 0x3fff and begins with 1. Of half the ring any two are in order, so nothing we
 * ever signed comes ahead again: whoever kept an old Update, and asked for newer seqnos until the ring was half round,
 * could else announce it as the newest of all.
 */
function isSpent(seqno: Seqno): boolean {
  return ((seqno + 0x4000) & 0xffff) >= 0x8000;
}

/**
 * Our router-id and seqno (docs/protocol/babel.md, Router-id). Seqnos are stored ahead in blocks of 16, so that after
 * any crash we go on above everything we ever announced; the epoch changes only when that state could not be read, when
 * its seqnos are spent, or when the network shows a later one of our own signing.
 */
export class OwnNumbering {
  epoch: Epoch;
  seqno: Seqno;
  readonly #node: NodeNumber;
  readonly #tuning: Tuning;
  #stored: Seqno;
  #unsaved = true;
  /** Increments we may make now. */
  #allowance: number;
  #allowedAt: Millis;
  #wanted = false;
  /** The newest of this epoch that the network has shown us. */
  #shown: Seqno;
  #jumpedAt = Number.NEGATIVE_INFINITY;

  constructor(node: NodeNumber, state: StoredSeqno | undefined, freshEpoch: Epoch, tuning: Tuning, now: Millis) {
    this.#node = node;
    this.#tuning = tuning;
    this.epoch = Math.min(maxEpoch, Math.max(1, state ? state.epoch : freshEpoch));
    this.seqno = state ? state.seqno & 0xffff : first;
    if (isSpent(this.seqno)) this.#beginEpoch(this.epoch + 1);
    this.#shown = this.seqno;
    this.#stored = seqnoPlus(this.seqno, block);
    this.#allowance = tuning.seqnoBurst;
    this.#allowedAt = now;
  }

  /** True for our router-id, as big-endian halves. */
  isOurs(high: number, low: number): boolean {
    return (
      high >>> 8 === this.#node && low === this.epoch % 2 ** 32 && (high & 0xff) === Math.floor(this.epoch / 2 ** 32)
    );
  }

  get routerId(): RouterId {
    return routerIdOf(this.#node, this.epoch);
  }

  /** What must be on disk now, once for each change. */
  takeUnsaved(): StoredSeqno | undefined {
    if (!this.#unsaved) return undefined;
    this.#unsaved = false;
    return { epoch: this.epoch, seqno: this.#stored };
  }

  /** When a postponed increment is due. */
  get deadline(): Millis {
    return this.#wanted ? this.#allowedAt + this.#tuning.seqnoPause : Number.POSITIVE_INFINITY;
  }

  /**
   * Somebody needs a newer seqno. One more, whatever was asked for (RFC 8966 §3.8.1.2); true when it was made now. Beyond
   * the allowance it is made later, so requests cannot spin our numbers round the ring.
   */
  increment(now: Millis): boolean {
    const earned = Math.floor((now - this.#allowedAt) / this.#tuning.seqnoPause);
    if (earned > 0) {
      this.#allowance = Math.min(this.#tuning.seqnoBurst, this.#allowance + earned);
      this.#allowedAt += earned * this.#tuning.seqnoPause;
    }
    if (this.#allowance < 1) {
      this.#wanted = true;
      return false;
    }
    this.#allowance--;
    this.#wanted = false;
    this.#moveTo(seqnoPlus(this.isBehind ? this.#shown : this.seqno, 1));
    return true;
  }

  /** The network has shown us a seqno of ours that we have not moved past yet. */
  get isBehind(): boolean {
    return isNewer(this.#shown, this.seqno);
  }

  /**
   * We heard a route of our own, signed by us, that is ahead: the disk was older than we thought. True when we moved past
   * it; within the epoch that is an increment like any other, made later if need be. A later epoch is passed at most once
   * a minute. Two machines with one key would else chase each other.
   */
  overtake(epoch: Epoch, seqno: Seqno, now: Millis): boolean {
    if (epoch > this.epoch) {
      if (now - this.#jumpedAt < minute || epoch >= maxEpoch) return false;
      this.#jumpedAt = now;
      this.#beginEpoch(epoch + 1);
      return true;
    }
    if (epoch < this.epoch || !isNewer(seqno, this.seqno)) return false;
    if (isNewer(seqno, this.#shown)) this.#shown = seqno;
    return this.increment(now);
  }

  #beginEpoch(epoch: Epoch): void {
    this.epoch = Math.min(maxEpoch, epoch);
    this.seqno = this.#shown = first;
    this.#stored = seqnoPlus(first, block);
    this.#unsaved = true;
  }

  #moveTo(seqno: Seqno): void {
    if (isSpent(seqno)) {
      this.#beginEpoch(this.epoch + 1);
      return;
    }
    this.seqno = seqno;
    const left = seqnoDistance(this.#stored, seqno);
    if (left > block / 2 && left <= block) return;
    this.#stored = seqnoPlus(seqno, block);
    this.#unsaved = true;
  }
}
