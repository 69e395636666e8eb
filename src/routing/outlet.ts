import type { IpBytes } from '../addr/ip.js';
import { toHex } from '../bytes.js';
import { type Millis, never } from '../time.js';
import type { Alarms } from './alarm.js';
import { ackRequestLength, type PacketWriter, type UpdateFields } from './codec/packet-writer.js';
import type { InterfaceId } from './contract.js';
import { Flag, type RouteMatrix } from './route-matrix.js';
import type { Tuning } from './tuning.js';

/** A request waiting to be sent, or the answer to one. */
export type QueuedRequest =
  /** The answer to a request for what we do not know. */
  | { readonly kind: 'retraction'; readonly prefix: IpBytes; readonly length: number }
  /** A signed retraction: shows the owner of a prefix what it announced once and has forgotten. */
  | {
      readonly kind: 'proof';
      readonly prefix: IpBytes;
      readonly length: number;
      readonly seqno: number;
      readonly high: number;
      readonly low: number;
      readonly signature: Uint8Array;
    }
  | { readonly kind: 'route'; readonly prefix: IpBytes; readonly length: number }
  | {
      readonly kind: 'seqno';
      readonly prefix: IpBytes;
      readonly length: number;
      readonly seqno: number;
      readonly hops: number;
      readonly high: number;
      readonly low: number;
    };

interface Waiting {
  readonly request: QueuedRequest;
  /** When it is said no more, acknowledged or not. */
  until: Millis;
}

/** A packet that awaits its acknowledgement; on a LAN, of which the updates are to be said again. */
interface Sent {
  /** Rows and their versions, in turn. */
  readonly items: number[];
  readonly requests: readonly Waiting[];
  readonly at: Millis;
  /** Its acknowledgement did not come in time; it may still come. */
  isLate: boolean;
}

/** What an outlet needs of the speaker. */
export interface OutletHost {
  readonly matrix: RouteMatrix;
  readonly writer: PacketWriter;
  readonly tuning: Tuning;
  /** The Update an outlet is to be sent, to be filled by `describe`. */
  readonly fields: UpdateFields;
  /** Fills `fields` for this row; 'nothing' when there is nothing to say; 'surely' when loss of it would matter. */
  describe(row: number, outlet: Outlet, periodic: boolean, now: Millis): 'nothing' | 'once' | 'surely';
  /** What our updates say now; an acknowledgement for an older version acknowledges nothing. */
  versionOf(row: number): number;
  /** Hello and IHUs. */
  writeGreeting(outlet: Outlet, writer: PacketWriter, now: Millis): void;
  send(outlet: Outlet, bytes: Uint8Array): void;
  acknowledged(outlet: Outlet, row: number, now: Millis): void;
  rowLimit(): number;
}

/**
 * Why the whole table is sent: periodically, unacknowledged; to a neighbour just reached, which need not be told again
 * what it was told since; or because it asked.
 */
export type DumpKind = 'periodic' | 'first' | 'asked';
const dumpKinds: readonly DumpKind[] = ['periodic', 'first', 'asked'];

/** How many packets may wait for acknowledgement before the oldest is no longer waited for. */
const maxSent = 4096;
/** An acknowledgement so late still counts: paths that take seconds are full ones, and what came need not be said there again. */
const latestAck: Millis = 10_000;
/**
 * A request is said again for so long. Other packets may be acknowledged meanwhile, so the tries that tell that nobody is
 * there do not end it; and who still needs the answer asks anew.
 */
const requestLife: Millis = 30_000;
/** A queue of fewer rows need not be looked through. */
const shortQueue = 1024;

/**
 * What is yet to be sent one way: to a tunnel's neighbour, to all on a LAN, or to one of them. It gathers updates for a
 * short while, fills packets, paces them, and repeats what is not acknowledged (RFC 8966 §3.1, §3.7.2, §3.3).
 */
export class Outlet {
  readonly interface: InterfaceId;
  readonly to: IpBytes | 'multicast';
  /** The column of the matrix that keeps what was said here. */
  readonly column: number;
  /** How often a change is said at most: once where that is acknowledged. */
  readonly copies: number;
  /** Rows said more than once already and not for the last time yet; of all others that await it, once. */
  readonly #said = new Map<number, number>();
  readonly mtu: number;
  readonly #sending: Alarms;
  flushAt: Millis = never;
  greetingDue = false;
  /** Everything we announced before is void: sent once, first. */
  retractAll = false;
  requestAll = false;
  #acks: number[] = [];
  /** By what they say, in the order in which they came: the same is said once. */
  readonly #requests = new Map<string, Waiting>();
  #queue: number[] = [];
  #head = 0;
  /** When the queue is so long it is looked through. */
  #queueRoom = shortQueue;
  /** When what is queued is to be sent: the earliest that was wished. */
  #queueAt: Millis = never;
  /** Retractions and new router-ids go before the queue and wait for no pause (RFC 8966 §3.7.2). */
  readonly #urgent = new Set<number>();
  #urgentAt: Millis = never;
  /** No updates before this: what was sent last is to be digested first. */
  #updatesAfter: Millis = 0;
  /** The next row of the full table, or none. */
  #dumpRow = -1;
  #dumpKind: DumpKind = 'periodic';
  #dumpAt: Millis = 0;
  readonly #sent = new Map<number, Sent>();
  /** Of packets that had to make room before their time: said again with what is said again next. */
  readonly #dropped = new Set<number>();
  #nextOpaque: number;
  /** In a row: of what was sent before the last one, another tells nothing new. */
  #timeouts = 0;
  #timedOutAt: Millis = 0;
  /** Updates written since the start. */
  #written = 0;
  resendAt: Millis = never;

  constructor(
    id: InterfaceId,
    to: IpBytes | 'multicast',
    column: number,
    copies: number,
    mtu: number,
    firstOpaque: number,
    sending: Alarms,
  ) {
    this.#sending = sending;
    this.interface = id;
    this.to = to;
    this.column = column;
    this.copies = copies;
    this.mtu = mtu;
    this.#nextOpaque = firstOpaque;
  }

  /** Acknowledged here; otherwise changes are said more than once. */
  get reliable(): boolean {
    return this.copies === 1;
  }

  by(at: Millis): void {
    if (at >= this.flushAt) return;
    this.flushAt = at;
    this.#sending.by(this.column, at);
  }

  update(matrix: RouteMatrix, row: number, at: Millis): void {
    if (!matrix.has(row, this.column, Flag.pending)) {
      matrix.raise(row, this.column, Flag.pending);
      this.#queue.push(row);
      if (this.#queue.length > this.#queueRoom) this.#tidy();
    }
    if (at < this.#queueAt) this.#queueAt = at;
    this.by(Math.max(at, this.#updatesAfter));
  }

  /**
   * Drops what was written, and rows that stand here twice: they were told urgently while they waited. The queue is then
   * no longer than there are rows, and at most twice that when it is looked through again.
   */
  #tidy(): void {
    this.#queue = [...new Set(this.#queue.slice(this.#head))];
    this.#head = 0;
    this.#queueRoom = Math.max(shortQueue, 2 * this.#queue.length);
  }

  /** How many rows are to be told, some of them perhaps twice. */
  get queued(): number {
    return this.#queue.length + this.#urgent.size;
  }

  /** Before all other updates. */
  urgentUpdate(matrix: RouteMatrix, row: number, at: Millis): void {
    matrix.raise(row, this.column, Flag.pending);
    this.#urgent.add(row);
    if (at < this.#urgentAt) this.#urgentAt = at;
    this.by(at);
  }

  greet(at: Millis): void {
    this.greetingDue = true;
    this.by(at);
  }

  acknowledge(opaque: number, at: Millis): void {
    this.#acks.push(opaque);
    this.by(at);
  }

  request(request: QueuedRequest, at: Millis): void {
    this.#request({ request, until: at + requestLife }, at);
  }

  #request(waiting: Waiting, at: Millis): void {
    const text = textOf(waiting.request);
    const same = this.#requests.get(text);
    if (same) same.until = Math.max(same.until, waiting.until);
    else if (this.#requests.size >= maxSent) return;
    else this.#requests.set(text, waiting);
    this.by(at);
  }

  /** A dump at least as good as this kind is on its way. */
  dumps(kind: DumpKind): boolean {
    return this.#dumpRow >= 0 && dumpKinds.indexOf(kind) <= dumpKinds.indexOf(this.#dumpKind);
  }

  /** The whole table; nothing when one as good is on its way. */
  dump(kind: DumpKind, at: Millis): void {
    if (this.dumps(kind)) return;
    this.#dumpRow = 0;
    this.#dumpKind = kind;
    this.#dumpAt = at;
    this.by(at);
  }

  /** The neighbour has lost what it knew, or is gone: nothing is awaited any more. */
  reset(): void {
    this.#sent.clear();
    this.#dropped.clear();
    this.#timeouts = 0;
    this.resendAt = never;
    this.#dumpRow = -1;
  }

  ackReceived(host: OutletHost, opaque: number, now: Millis): void {
    const sent = this.reliable ? this.#sent.get(opaque) : undefined;
    if (!sent) return;
    this.#sent.delete(opaque);
    if (this.#timeouts > 0) {
      // Somebody is there: what waits for long is due soon.
      this.#timeouts = 0;
      this.#resendSoon(host.tuning);
    } else if (this.#sent.size === 0 && this.#dropped.size === 0) this.resendAt = never;
    for (let i = 0; i < sent.items.length; i += 2) {
      const row = sent.items[i]!;
      if (host.versionOf(row) !== sent.items[i + 1]) continue;
      host.matrix.lower(row, this.column, Flag.awaiting);
      host.matrix.raise(row, this.column, Flag.proofKnown);
      host.acknowledged(this, row, now);
    }
  }

  /** Queues again what was sent and not acknowledged in time. */
  resend(host: OutletHost, now: Millis): void {
    if (now < this.resendAt) return;
    const wait = this.#wait(host.tuning);
    let isSilent = false;
    let next = never;
    for (const [opaque, sent] of this.#sent) {
      if (sent.isLate) {
        if (sent.at + latestAck <= now) this.#sent.delete(opaque);
        continue;
      }
      if (sent.at + wait > now) {
        next = Math.min(next, sent.at + wait);
        continue;
      }
      if (sent.at >= this.#timedOutAt) isSilent = true;
      if (this.reliable) sent.isLate = true;
      else this.#sent.delete(opaque);
      this.#queueAgain(host, sent, now);
    }
    for (const row of this.#dropped) {
      if (host.matrix.has(row, this.column, Flag.awaiting)) this.update(host.matrix, row, now);
    }
    this.#dropped.clear();
    this.resendAt = next;
    if (!isSilent) return;
    this.#timeouts++;
    this.#timedOutAt = now;
  }

  #resendSoon(tuning: Tuning): void {
    const wait = this.#wait(tuning);
    this.resendAt = never;
    for (const sent of this.#sent.values()) if (!sent.isLate) this.resendAt = Math.min(this.resendAt, sent.at + wait);
    this.#sending.by(this.column, this.resendAt);
  }

  #queueAgain(host: OutletHost, sent: Sent, now: Millis): void {
    for (let i = 0; i < sent.items.length; i += 2) {
      const row = sent.items[i]!;
      // A late acknowledgement of what was said before may have settled it.
      const isAwaited = !this.reliable || host.matrix.has(row, this.column, Flag.awaiting);
      if (isAwaited && host.versionOf(row) === sent.items[i + 1]) this.update(host.matrix, row, now);
    }
    for (const waiting of sent.requests) if (now < waiting.until) this.#request(waiting, now);
  }

  flush(host: OutletHost, now: Millis): void {
    if (now < this.flushAt) return;
    this.flushAt = never;
    this.#fill(host, now);
    const queueAt = this.#queue.length > 0 ? this.#queueAt : never;
    const dumpAt = this.#dumpRow >= 0 ? this.#dumpAt : never;
    this.by(Math.min(this.#urgentAt, Math.max(this.#updatesAfter, Math.min(queueAt, dumpAt))));
  }

  #fill(host: OutletHost, now: Millis): void {
    const { writer, tuning } = host;
    let updates = 0;
    for (let packets = 0; packets < tuning.burst; packets++) {
      writer.begin(this.mtu, ackRequestLength);
      const items: number[] = [];
      const requests: Waiting[] = [];
      if (this.greetingDue) {
        this.greetingDue = false;
        host.writeGreeting(this, writer, now);
      }
      // Behind the Hello, whose number tells when a packet was overtaken: late, it would undo what we said since.
      if (this.retractAll && writer.wildcardRetraction()) this.retractAll = false;
      if (this.requestAll && writer.wildcardRequest()) this.requestAll = false;
      while (this.#acks.length > 0 && writer.ack(this.#acks[this.#acks.length - 1]!)) this.#acks.pop();
      for (const [text, waiting] of this.#requests) {
        if (!writeRequest(host, waiting.request)) break;
        this.#requests.delete(text);
        if (this.reliable && isQuestion(waiting.request)) requests.push(waiting);
      }
      const before = this.#written;
      const full = this.#writeUpdates(host, items, now);
      updates += this.#written - before;
      if (writer.isEmpty) break;
      if (items.length > 0 || requests.length > 0) {
        const opaque = this.#nextOpaque++ & 0xffff;
        if (this.reliable) writer.ackRequest(opaque, Math.max(1, Math.round(host.tuning.ackTimeout / 40)));
        if (this.#sent.size >= maxSent) this.#dropOldest();
        this.#sent.set(opaque, { items, requests, at: now, isLate: false });
        this.resendAt = Math.min(this.resendAt, now + this.#wait(host.tuning));
        this.#sending.by(this.column, this.resendAt);
      }
      host.send(this, writer.finish());
      if (full || this.#acks.length > 0 || this.#requests.size > 0) {
        if (packets < tuning.burst - 1) continue;
        this.by(now + tuning.pacing);
        if (this.#urgent.size > 0) this.#urgentAt = now + tuning.pacing;
      } else break;
    }
    if (updates > 0) this.#updatesAfter = now + Math.min(tuning.longestPause, updates * tuning.updatePause);
  }

  /** Where it is late its rows were queued again already; its requests are asked anew by who still needs an answer. */
  #dropOldest(): void {
    const [opaque, { items, isLate }] = this.#sent.entries().next().value!;
    this.#sent.delete(opaque);
    if (!isLate) for (let i = 0; i < items.length; i += 2) this.#dropped.add(items[i]!);
  }

  /** True when the packet is full and more is waiting. */
  #writeUpdates(host: OutletHost, items: number[], now: Millis): boolean {
    if (now >= this.#urgentAt) {
      for (const row of this.#urgent) {
        if (!this.#writeQueued(host, row, items, now)) return true;
        this.#urgent.delete(row);
      }
      this.#urgentAt = never;
    }
    if (now < this.#updatesAfter) return false;
    while (now >= this.#queueAt && this.#head < this.#queue.length) {
      if (!this.#writeQueued(host, this.#queue[this.#head]!, items, now)) return true;
      this.#head++;
    }
    if (now >= this.#queueAt) {
      this.#queue.length = 0;
      this.#head = 0;
      this.#queueAt = never;
    }
    while (this.#dumpRow >= 0 && now >= this.#dumpAt) {
      if (this.#dumpRow >= host.rowLimit()) {
        this.#dumpRow = -1;
        break;
      }
      const said = Flag.awaiting | Flag.proofKnown;
      const known = this.#dumpKind === 'first' && host.matrix.has(this.#dumpRow, this.column, said);
      if (!known && !this.#writeUpdate(host, this.#dumpRow, this.#dumpKind === 'periodic', items, now)) return true;
      this.#dumpRow++;
    }
    return false;
  }

  /** What is queued, unless it was told meanwhile. False when it did not fit. */
  #writeQueued(host: OutletHost, row: number, items: number[], now: Millis): boolean {
    if (!host.matrix.has(row, this.column, Flag.pending)) return true;
    if (!this.#writeUpdate(host, row, false, items, now)) return false;
    host.matrix.lower(row, this.column, Flag.pending);
    // What is to be said once more is the same answer, not the silence of split horizon.
    const isRepeated = !this.reliable && host.matrix.has(row, this.column, Flag.awaiting);
    if (!isRepeated) host.matrix.lower(row, this.column, Flag.forced);
    host.acknowledged(this, row, now); // if there was nothing to say after all, nobody will acknowledge it
    return true;
  }

  /** False when it did not fit. */
  #writeUpdate(host: OutletHost, row: number, periodic: boolean, items: number[], now: Millis): boolean {
    const what = host.describe(row, this, periodic, now);
    if (what === 'nothing') return true;
    if (!host.writer.update(host.fields)) return false;
    this.#written++;
    const retraction = host.fields.metric === 0xffff;
    if (retraction) host.matrix.lower(row, this.column, Flag.announced);
    else host.matrix.raise(row, this.column, Flag.announced);
    if (what === 'surely') {
      // On a LAN `awaiting` marks what is to be said once more.
      if (!this.reliable && this.#isLast(host.matrix, row)) {
        host.matrix.lower(row, this.column, Flag.awaiting);
      } else {
        items.push(row, host.versionOf(row));
        host.matrix.raise(row, this.column, Flag.awaiting);
      }
    }
    return true;
  }

  /** Where nothing is acknowledged: this is said for the last time. */
  #isLast(matrix: RouteMatrix, row: number): boolean {
    const said = matrix.has(row, this.column, Flag.awaiting) ? (this.#said.get(row) ?? 1) + 1 : 1;
    if (said > 1 && said < this.copies) this.#said.set(row, said);
    else this.#said.delete(row);
    return said === this.copies;
  }

  /**
   * Nothing is given up while the neighbour is there: a retraction forgotten leaves a route to nobody until the next full table.
   * But to one that never acknowledges all is repeated ever more seldom.
   */
  #wait({ ackTimeout, ackTries, longestAckWait, triggeredDelay }: Tuning): Millis {
    if (!this.reliable) return 3 * triggeredDelay;
    const doublings = Math.min(1, this.#timeouts) + Math.max(0, this.#timeouts - ackTries);
    return Math.min(longestAckWait, ackTimeout * 2 ** doublings);
  }
}

/** What is asked; an answer is asked for again by who misses it. */
function isQuestion({ kind }: QueuedRequest): boolean {
  return kind === 'route' || kind === 'seqno';
}

/** What a request says: two that say the same have the same text. */
function textOf(request: QueuedRequest): string {
  const about = `${request.kind} ${toHex(request.prefix)}/${request.length}`;
  if (request.kind !== 'seqno' && request.kind !== 'proof') return about;
  const { seqno, high, low } = request;
  return `${about} ${seqno} ${high}:${low} ${request.kind === 'seqno' ? request.hops : ''}`;
}

function writeRequest(host: OutletHost, request: QueuedRequest): boolean {
  const { writer, fields } = host;
  const { prefix, length } = request;
  if (request.kind === 'route') return writer.routeRequest(prefix, length);
  if (request.kind === 'seqno') {
    return writer.seqnoRequest(prefix, length, request.seqno, request.hops, request.high, request.low);
  }
  Object.assign(fields, { prefix, prefixLength: length, seqno: 0, metric: 0xffff, interval: 0xffff });
  fields.nextHop4 = fields.egress = fields.signature = undefined;
  if (request.kind === 'proof') {
    fields.seqno = request.seqno;
    fields.routerIdHigh = request.high;
    fields.routerIdLow = request.low;
    fields.signature = request.signature;
  }
  return writer.update(fields);
}
