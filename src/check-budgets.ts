import { Buckets } from './buckets.js';
import { type Millis, minute } from './time.js';

/** Our tuning. False signatures checked of one member: at once, then a second. Each costs an eighth of a millisecond. */
const burst = 400;
const perSecond = 20;
/** A true one costs as much to check, but this share of a false one: a neighbour may tell of all that pacing lets it, 2,000 a second. */
const trueShare = 1 / 100;

/**
 * What members send us to check costs processor time before anything is known of it. So each has a bucket: what is false uses it up,
 * what is true costs a hundredth, and while it is empty nothing of that member's is checked. Whoever else sends the same is
 * believed as ever. One for all kinds of signatures, across tunnels that end and come back.
 */
export class CheckBudgets<Member> {
  readonly #buckets = new Buckets<Member>(perSecond, burst);
  /** When each was last told of; those of the last minute. */
  readonly #toldAt = new Map<Member, Millis>();
  #untold = new Set<Member>();
  #dropped = 0;

  of(member: Member): CheckBudget {
    return new OneBudget(this, this.#buckets, member);
  }

  /** What was dropped unchecked since the start. */
  get dropped(): number {
    return this.#dropped;
  }

  /** Of whom something was dropped unchecked since the last call; each once a minute. */
  takeSpent(): Iterable<Member> {
    const spent = this.#untold;
    if (spent.size > 0) this.#untold = new Set();
    return spent;
  }

  /** Counts what is dropped for want of a token. */
  drop(member: Member, now: Millis): void {
    this.#dropped++;
    const told = this.#toldAt.get(member);
    if (told !== undefined && now - told < minute) return;
    for (const [other, at] of this.#toldAt) if (now - at >= minute) this.#toldAt.delete(other);
    this.#toldAt.set(member, now);
    this.#untold.add(member);
  }
}

/** Signatures that one member may still have us check. */
export interface CheckBudget {
  /** True when one may be checked now. It counts as false until something else is said of it; what is dropped is counted. */
  take(now: Millis): boolean;
  /** What was taken last turned out true: most of it is given back. */
  wasTrue(): void;
  /** And what it proved takes one of a bounded number of places: the rest is given back too. */
  wasNews(): void;
  /** It was taken, and nothing had to be checked: all of it is given back. */
  wasNeedless(): void;
  /** It has had nothing checked for as long as it takes to forget that. */
  isFull(now: Millis): boolean;
}

class OneBudget<Member> implements CheckBudget {
  readonly #all: CheckBudgets<Member>;
  readonly #buckets: Buckets<Member>;
  readonly #member: Member;

  constructor(all: CheckBudgets<Member>, buckets: Buckets<Member>, member: Member) {
    this.#all = all;
    this.#buckets = buckets;
    this.#member = member;
  }

  take(now: Millis): boolean {
    if (this.#buckets.take(this.#member, now)) return true;
    this.#all.drop(this.#member, now);
    return false;
  }

  wasTrue(): void {
    this.#buckets.giveBack(this.#member, 1 - trueShare);
  }

  wasNews(): void {
    this.#buckets.giveBack(this.#member, trueShare);
  }

  wasNeedless(): void {
    this.#buckets.giveBack(this.#member, 1);
  }

  isFull(now: Millis): boolean {
    return this.#buckets.isFull(this.#member, now);
  }
}
