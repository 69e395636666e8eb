import type { Millis } from '../time.js';
import { seqnoDistance } from './seqno.js';
import { spec } from './tuning.js';

/**
 * Which of a neighbour's last 16 Hellos came (RFC 8966 appendix A.1). Bit 15 is the newest. Multicast and unicast Hellos
 * have a history each.
 */
export class HelloHistory {
  bits = 0;
  /** Bits that stand for a Hello we were there to hear. */
  #seen = 0;
  #expected = -1;
  /** The newest heard; `#expected` moves on with what is missed. */
  #newest = -1;
  #interval: Millis = 0;
  #deadline: Millis = Number.POSITIVE_INFINITY;

  /** When the next Hello counts as missed. */
  get deadline(): Millis {
    return this.#deadline;
  }

  get interval(): Millis {
    return this.#interval;
  }

  /** True when the numbering jumped: the neighbour has restarted and its history begins anew. */
  jumped(seqno: number): boolean {
    return this.#expected >= 0 && this.bits !== 0 && Math.abs(seqnoDistance(seqno, this.#expected)) > 16;
  }

  /** True for a Hello that a newer one has overtaken on the way, or that came twice. */
  isOvertaken(seqno: number): boolean {
    const behind = this.#newest < 0 ? -1 : -seqnoDistance(seqno, this.#newest);
    return this.bits !== 0 && behind >= 0 && behind < 16;
  }

  /**
   * `interval` 0: unscheduled; it makes no new promise and the old one stands (RFC 8966 §4.6.5). Where nothing was ever
   * promised, it is forgotten at the pace of the RFC's own interval: it must not count for ever.
   */
  heard(seqno: number, interval: Millis, now: Millis): void {
    if (this.jumped(seqno)) this.reset();
    if (this.#expected >= 0) {
      const ahead = seqnoDistance(seqno, this.#expected);
      if (this.bits === 0 && Math.abs(ahead) > 16) this.reset();
      else if (ahead < 0) {
        this.bits = (this.bits << -ahead) & 0xffff; // we had counted Hellos as missed that were not yet due
        this.#seen = Math.max(0, this.#seen + ahead);
      } else if (ahead > 0) this.#shift(ahead);
    }
    this.bits = (this.bits >> 1) | 0x8000;
    this.#seen = Math.min(16, this.#seen + 1);
    this.#expected = (seqno + 1) & 0xffff;
    this.#newest = seqno;
    if (interval > 0) {
      this.#interval = interval;
      this.#deadline = now + 1.5 * interval;
    } else if (this.#deadline === Number.POSITIVE_INFINITY) {
      this.#interval ||= spec.helloInterval;
      this.#deadline = now + 1.5 * this.#interval;
    }
  }

  /** The timer fired; true when nothing is left of the history. */
  missed(now: Millis): boolean {
    this.#shift(1);
    this.#expected = (this.#expected + 1) & 0xffff;
    this.#deadline =
      this.bits === 0 ? Number.POSITIVE_INFINITY : Math.max(this.#deadline, now - this.#interval) + this.#interval;
    return this.bits === 0;
  }

  /** All missed at once. */
  reset(): void {
    this.bits = 0;
    this.#seen = 0;
    this.#expected = this.#newest = -1;
    this.#deadline = Number.POSITIVE_INFINITY;
  }

  /** 2-out-of-3 (RFC 8966 appendix A.2.1); while fewer than three were due, one is enough. */
  get isReceived(): boolean {
    const newest = (this.bits >> 13) & 7;
    const count = (newest & 1) + ((newest >> 1) & 1) + (newest >> 2);
    return count >= (this.#seen >= 3 ? 2 : 1);
  }

  /**
   * One of the last four came: of a tunnel of ours, whose end the plane notices within seconds. All that two missing of three, 20 s apart, would say is that
   * datagrams are lost: where that is one of ten, the tunnel would go every twelve minutes.
   */
  get isHeardLately(): boolean {
    return this.bits >> 12 !== 0;
  }

  /** The share of Hellos that came, weighing the newest most (RFC 8966 appendix A.2.2). */
  get share(): number {
    if (this.#seen === 0) return 0;
    let sum = 0;
    let weights = 0;
    for (let i = 0; i < this.#seen; i++) {
      const weight = 16 - i;
      weights += weight;
      if ((this.bits >> (15 - i)) & 1) sum += weight;
    }
    return sum / weights;
  }

  #shift(by: number): void {
    this.bits >>= by;
    this.#seen = Math.min(16, this.#seen + by);
  }
}
