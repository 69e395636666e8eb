import { type Millis, never } from '../time.js';
import type { Destination } from './destination.js';
import { isNewer, type Seqno } from './seqno.js';
import { spec } from './tuning.js';

/** What one neighbour asked us for, and the hop count with which that may be passed on. */
interface Asked {
  readonly seqno: Seqno;
  readonly hops: number;
}

/** A seqno somebody waits for (RFC 8966 §3.2.7). */
export interface PendingRequest {
  readonly row: number;
  readonly router: number;
  /** The newest that is waited for. */
  seqno: Seqno;
  /** By the columns of neighbours that asked us; at most 32. */
  readonly askers: Map<number, Asked>;
  /** We need it ourselves, and repeat it while we starve; what we forward, the asker repeats. */
  own: boolean;
  /** What we need. */
  ownSeqno: Seqno | undefined;
  /** Columns of neighbours that were asked for ourselves: one that comes later is asked when it comes. */
  readonly asked: Set<number>;
  tries: number;
  askedAt: Millis;
  /** Hop count it may still be forwarded with, should our way to the originator change. */
  hops: number;
  /** The column of the neighbour it was last passed on to; undefined while it was to none that is still there. */
  passedTo: number | undefined;
  /** When it is repeated or forgotten. */
  dueAt: Millis;
}

/** How long a forwarded request is remembered. */
const forwardedFor: Millis = 10_000;
/**
 * The same request within so long is a duplicate; later it is the asker's repetition (RFC 8966 appendix B: after 2 s).
 */
const duplicateFor: Millis = 1_500;
const maxAskers = 32;

/** The table of pending seqno requests, by (prefix, router-id). */
export class PendingRequests {
  readonly #entries = new Map<number, PendingRequest>();
  readonly #limit: number;
  #deadline: Millis = never;

  constructor(limit: number) {
    this.#limit = limit;
  }

  get size(): number {
    return this.#entries.size;
  }

  get deadline(): Millis {
    return this.#deadline;
  }

  get(row: number, router: number): PendingRequest | undefined {
    return this.#entries.get(keyOf(row, router));
  }

  /**
   * Notes a request; true when it is to be sent: nothing as new was asked for lately (RFC 8966 §3.8.1.2). `asker`: a
   * neighbour's column, or undefined for ourselves. `hops`: what is left of its hop count when it is forwarded.
   */
  note(row: number, router: number, seqno: Seqno, asker: number | undefined, now: Millis, hops = 0): boolean {
    const own = asker === undefined;
    const entry = this.get(row, router);
    if (entry) {
      if (own) entry.ownSeqno = newest(entry.ownSeqno, seqno);
      else noteAsked(entry, asker, { seqno, hops });
      // What was forwarded for others went one way, perhaps the one that is gone now.
      const wasOwn = entry.own;
      entry.own ||= own;
      if (isNewer(seqno, entry.seqno)) {
        entry.seqno = seqno;
        // Of this request, not of an older one that came with more; what we need ourselves is passed on for nobody.
        entry.hops = hops;
        if (!own) entry.passedTo = undefined;
      } else {
        // What one neighbour was asked for ourselves, because its way would be better, has gone nowhere else: it may be
        // that very neighbour that needs it now, with us on its way.
        const isPassedOn = hops === 0 || entry.own || entry.passedTo !== undefined;
        if (own ? wasOwn : isPassedOn && now - entry.askedAt < duplicateFor) return false;
        if (seqno === entry.seqno) entry.hops = Math.max(entry.hops, hops);
      }
      entry.asked.clear();
      entry.askedAt = now;
      this.#due(entry, now + (entry.own ? spec.requestTimeout : forwardedFor));
      return true;
    }
    if (this.#entries.size >= this.#limit) return false;
    const fresh: PendingRequest = {
      row,
      router,
      seqno,
      askers: new Map(own ? [] : [[asker, { seqno, hops }]]),
      own,
      ownSeqno: own ? seqno : undefined,
      asked: new Set(),
      tries: 1,
      askedAt: now,
      hops,
      passedTo: undefined,
      dueAt: never,
    };
    this.#entries.set(keyOf(row, router), fresh);
    this.#due(fresh, now + (own ? spec.requestTimeout : forwardedFor));
    return true;
  }

  /** It went to this neighbour on behalf of others. */
  passedTo(row: number, router: number, column: number): void {
    const entry = this.get(row, router);
    if (entry) entry.passedTo = column;
  }

  /** A route with this seqno is there; the columns that waited for it or an older one. Who asked for a newer one waits on. */
  satisfied(destination: Destination): readonly number[] {
    if (this.#entries.size === 0) return [];
    const { row, router, seqno } = destination;
    const entry = this.get(row, router);
    if (!entry) return [];
    const satisfied: number[] = [];
    for (const [column, asked] of entry.askers) {
      if (isNewer(asked.seqno, seqno)) continue;
      entry.askers.delete(column);
      satisfied.push(column);
    }
    if (!isNewer(entry.seqno, seqno)) this.forget(entry);
    else if (entry.ownSeqno !== undefined && !isNewer(entry.ownSeqno, seqno)) {
      entry.own = false;
      entry.ownSeqno = undefined;
      this.#due(entry, entry.askedAt + forwardedFor);
    }
    return satisfied;
  }

  /** Entries due at `now`; each is either repeated (`again`) or forgotten by the caller's word. */
  due(now: Millis): PendingRequest[] {
    if (now < this.#deadline) return [];
    const due: PendingRequest[] = [];
    this.#deadline = never;
    for (const entry of this.#entries.values()) {
      if (entry.dueAt <= now) due.push(entry);
      else this.#deadline = Math.min(this.#deadline, entry.dueAt);
    }
    return due;
  }

  again(entry: PendingRequest, now: Millis): void {
    entry.tries++;
    this.#due(entry, now + spec.requestTimeout * 2 ** (entry.tries - 1));
  }

  forget(entry: PendingRequest): void {
    this.#entries.delete(keyOf(entry.row, entry.router));
  }

  forgetRow(row: number): void {
    for (const entry of this.#entries.values()) if (entry.row === row) this.forget(entry);
  }

  *[Symbol.iterator](): IterableIterator<PendingRequest> {
    yield* this.#entries.values();
  }

  /** What only this neighbour waited for, nobody does any more; the others wait for what they asked. */
  forgetColumn(column: number): void {
    for (const entry of this.#entries.values()) {
      entry.asked.delete(column);
      if (entry.passedTo === column) entry.passedTo = undefined;
      const asked = entry.askers.get(column);
      if (!asked) continue;
      entry.askers.delete(column);
      if (entry.askers.size === 0 && !entry.own) this.forget(entry);
      else if (asked.seqno === entry.seqno) fallBack(entry);
    }
  }

  /** This neighbour may not have got what it was asked. */
  askAgain(column: number): void {
    for (const entry of this.#entries.values()) entry.asked.delete(column);
  }

  #due(entry: PendingRequest, at: Millis): void {
    entry.dueAt = at;
    this.#deadline = Math.min(this.#deadline, at);
  }
}

function newest(one: Seqno | undefined, other: Seqno): Seqno {
  return one !== undefined && isNewer(one, other) ? one : other;
}

function noteAsked(entry: PendingRequest, column: number, { seqno, hops }: Asked): void {
  const before = entry.askers.get(column);
  if (before ? isNewer(before.seqno, seqno) : entry.askers.size >= maxAskers) return;
  entry.askers.set(column, { seqno, hops: before?.seqno === seqno ? Math.max(before.hops, hops) : hops });
}

/** Who asked for the newest is gone. */
function fallBack(entry: PendingRequest): void {
  const asked = [...entry.askers.values()];
  entry.seqno = asked.map(({ seqno }) => seqno).reduce(newest, entry.ownSeqno) ?? entry.seqno;
  entry.hops = Math.max(0, ...asked.filter(({ seqno }) => seqno === entry.seqno).map(({ hops }) => hops));
}

function keyOf(row: number, router: number): number {
  return row * 65536 + router;
}
