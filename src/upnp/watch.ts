import { type Millis, minute, never, second } from '../time.js';
import { answerLimit, type CheckAnswer, type CheckDepth, type Grant } from './contract.js';
import { epochWasReset } from './nat-pmp.js';

/** Our tuning. */
/** A router restart must be noticed within seconds: one datagram of some octets to the next hop costs nothing. */
const pulseInterval: Millis = 4 * second;
/** What a pulse cannot see: an entry deleted by hand, a router without boot number. */
const tableInterval: Millis = minute;
/** A peer that tells another address each moment must not make us look all day. */
const hintedTableInterval: Millis = 10 * second;
/** A router that is silent for longer is looked for anew: it may have another address. Restarts take about a minute. */
const silenceLimit: Millis = 90 * second;
/** After a silence of this long the router may have been restarted, also one that has no sign of it. */
const longSilence: Millis = 3 * pulseInterval;

/** What an answer comes to: the mapping is lost, stands in the table, or the table is not where it was; else nothing. */
export type Finding = 'nothing' | 'lost' | 'stands' | 'elsewhere';

/** Watches the router of one mapping: when to ask it whether all is as it was, and what its answers say. */
export class Watch {
  #pulseAt: Millis = never;
  #tableAt: Millis = never;
  /** The next look for what peers see. */
  #hintedTableAt: Millis = 0;
  /** Since when it is asked, and how deep. */
  #check: { readonly depth: CheckDepth; readonly since: Millis } | undefined;
  #lastAnswer: Millis = 0;
  #life: string | undefined;
  #epoch: { readonly seconds: number; readonly at: Millis } | undefined;

  /** Something was granted. */
  begin(now: Millis): void {
    this.#life = this.#epoch = undefined;
    this.#lastAnswer = now;
    this.#pulseAt = now;
    this.#tableAt = now + tableInterval;
  }

  /** Nothing is asked until the next grant. */
  stop(): void {
    this.#check = undefined;
    this.#pulseAt = this.#tableAt = never;
  }

  /** `noTable`: not now, with what follows from it for the deadline too. */
  next(noTable: boolean, now: Millis): CheckDepth | undefined {
    if (this.#check && now < this.#check.since + answerLimit) return undefined;
    this.#check = undefined;
    const isTableDue = !noTable && now >= this.#tableAt;
    if (!isTableDue && now < this.#pulseAt) return undefined;
    this.#pulseAt = now + pulseInterval;
    if (isTableDue) this.#tableAt = now + tableInterval;
    const depth = isTableDue ? 'table' : 'pulse';
    this.#check = { depth, since: now };
    return depth;
  }

  deadline(noTable: boolean): Millis {
    const due = Math.min(this.#pulseAt, noTable ? never : this.#tableAt);
    return Math.min(this.#check ? this.#check.since + answerLimit : due, this.#lastAnswer + silenceLimit);
  }

  isSilent(now: Millis): boolean {
    return now >= this.#lastAnswer + silenceLimit;
  }

  /** Its table is looked at: over NAT-PMP, by asking for the mapping again. */
  get isLooking(): boolean {
    return this.#check?.depth === 'table';
  }

  /** Peers see another address: the table is looked at soon. */
  hinted(now: Millis): void {
    const lookAt = Math.max(now, this.#hintedTableAt);
    if (lookAt >= this.#tableAt) return;
    this.#tableAt = lookAt;
    this.#hintedTableAt = lookAt + hintedTableInterval;
  }

  /** The router says that it is there, perhaps again and again: a look at once, but no oftener than a pulse would. */
  announced(now: Millis): void {
    this.#tableAt = Math.min(this.#tableAt, Math.max(now, this.#pulseAt - pulseInterval + second));
  }

  answered(answer: CheckAnswer, { externalAddress }: Grant, now: Millis): Finding {
    if (!this.#check) return 'nothing';
    const { depth } = this.#check;
    this.#check = undefined;
    const wasSilent = now >= this.#lastAnswer + longSilence;
    // It lives, and does not answer where its table was: a router that started anew, or another in its place.
    if (!answer.answered) return depth === 'table' && !wasSilent ? 'elsewhere' : 'nothing';
    if (depth === 'pulse' && wasSilent) this.#tableAt = now;
    this.#lastAnswer = now;
    const isRestarted = this.#noteLife(answer, now);
    const isMoved = answer.externalAddress !== undefined && answer.externalAddress !== externalAddress;
    if (isRestarted || isMoved || answer.held === false) return 'lost';
    return depth === 'table' ? 'stands' : 'nothing';
  }

  /** Remembers the router's signs of life; true when they say that it was restarted since the last. */
  #noteLife({ life, epochSeconds }: CheckAnswer, now: Millis): boolean {
    const before = this.#epoch;
    const changed =
      (life !== undefined && this.#life !== undefined && life !== this.#life) ||
      (epochSeconds !== undefined &&
        before !== undefined &&
        epochWasReset(before.seconds, epochSeconds, (now - before.at) / second));
    if (life !== undefined) this.#life = life;
    if (epochSeconds !== undefined) this.#epoch = { seconds: epochSeconds, at: now };
    return changed;
  }
}
