import type { IpBytes } from '../addr/ip.js';
import type { NodeNumber } from '../addr/node-number.js';
import { Prefix } from '../addr/prefix.js';
import type { Millis } from '../time.js';
import type { Interner } from './contract.js';
import { infinity, type Metric } from './metric.js';
import { isNewer, type Seqno } from './seqno.js';

/** The best we ever announced of one (prefix, router-id): the feasibility distance (RFC 8966 §3.2.6). */
export interface Source {
  readonly router: number;
  seqno: Seqno;
  metric: Metric;
  /** When a finite update last left. */
  at: Millis;
}

/** A signature that came for one (prefix, router-id, seqno), by its origin or by the egress. */
export interface Proof {
  readonly router: number;
  readonly seqno: Seqno;
  readonly signer: NodeNumber;
  /** Proven once `valid`; until then every different signature that came, at most four. */
  valid: boolean;
  signatures: Uint8Array[];
}

/** No neighbour; and the mark of what we originate ourselves. */
export const none = -1;
export const ourselves = -2;

/** One prefix and all that is known of it, but for its routes, which are a row of the matrix. */
export class Destination {
  readonly row: number;
  readonly prefix: Prefix;
  /** The node an overlay /64 belongs to; 0 for every other prefix. */
  readonly owner: NodeNumber;

  sources: Source[] = [];
  proofs: Proof[] = [];
  /** Of an overlay prefix: the router-id of the highest epoch proven, or none. */
  newestRouter = none;
  /** Announced by ourselves at this metric. */
  own: Metric | undefined;

  /** The neighbour's column, `ourselves` or `none`; then what is selected there. */
  selected = none;
  router = none;
  seqno: Seqno = 0;
  metric: Metric = infinity;
  egress: NodeNumber = 0;

  /** The next best usable routes: columns, or none. */
  second = none;
  third = none;

  /** Not selected but not forgotten either (RFC 8966 §3.5.4); 0: not held. */
  heldUntil: Millis = 0;
  /** Since when another route has been better by the margin; 0: none is. */
  betterSince: Millis = 0;
  /** When a route was found after there was none: until things have settled, the best is taken at once. */
  foundAt: Millis = 0;
  /** The metric when the selected route was chosen: has it become worse since? */
  chosenMetric: Metric = infinity;
  /** Neighbours left because they had become worse. */
  left: { readonly column: number; readonly until: Millis }[] | undefined;

  /** Changes with everything our updates say, but for the metric's small changes. */
  version = 0;
  sentMetric: Metric = infinity;
  /** When it is first told to anybody; 0: it need not wait, or was. See ripening.ts. */
  ripeAt: Millis = 0;

  /** What the forwarding table was told: columns, best first. */
  told: readonly [number, number, number] = [none, none, none];
  toldRouter = none;
  toldEgress: NodeNumber = 0;
  toldHeld = false;

  constructor(row: number, prefix: Prefix, owner: NodeNumber) {
    this.row = row;
    this.prefix = prefix;
    this.owner = owner;
  }

  source(router: number): Source | undefined {
    for (const source of this.sources) if (source.router === router) return source;
    return undefined;
  }

  /** RFC 8966 §3.5.1: compares what was announced to us, without the cost of the link. */
  isFeasible(router: number, seqno: Seqno, refmetric: Metric): boolean {
    if (refmetric === infinity) return true;
    const source = this.source(router);
    if (!source) return true;
    return isNewer(seqno, source.seqno) || (seqno === source.seqno && refmetric < source.metric);
  }

  /**
   * Must come before the update leaves (RFC 8966 §3.7.3). A retraction neither makes nor refreshes an entry. True when less
   * is feasible now than before.
   */
  noteSent(router: number, seqno: Seqno, metric: Metric, now: Millis, maxSources: number): boolean {
    if (metric === infinity) return false;
    const source = this.source(router);
    if (!source) {
      if (this.sources.length >= maxSources) this.sources.shift();
      const fresh = { router, seqno, metric, at: Math.ceil(now) };
      // A list of one is made exactly so long; there is one for every destination.
      if (this.sources.length === 0) this.sources = [fresh];
      else this.sources.push(fresh);
      return true;
    }
    source.at = Math.ceil(now);
    const isBetter = isNewer(seqno, source.seqno) || (seqno === source.seqno && metric < source.metric);
    if (!isBetter) return false;
    source.seqno = seqno;
    source.metric = metric;
    return true;
  }

  /** The latest thing its owner is known to have signed. */
  newestProof(): Proof | undefined {
    let newest: Proof | undefined;
    for (const proof of this.proofs) {
      if (!proof.valid || proof.router !== this.newestRouter) continue;
      if (!newest || isNewer(proof.seqno, newest.seqno)) newest = proof;
    }
    return newest;
  }

  proof(router: number, seqno: Seqno, signer: NodeNumber): Proof | undefined {
    for (const proof of this.proofs) {
      if (proof.router === router && proof.seqno === seqno && proof.signer === signer) return proof;
    }
    return undefined;
  }
}

/** All destinations, by prefix octets and by row. Rows of the forgotten are used again. */
export class DestinationTable {
  readonly #rows: (Destination | undefined)[] = [];
  readonly #free: number[] = [];
  #buckets: Int32Array = new Int32Array(64).fill(-1);
  /** The next row in the same bucket. */
  readonly #next: number[] = [];
  readonly #interner: Interner | undefined;

  constructor(interner: Interner | undefined) {
    this.#interner = interner;
  }

  get size(): number {
    return this.#rows.length - this.#free.length;
  }

  /** One more than the highest row in use. */
  get rows(): number {
    return this.#rows.length;
  }

  at(row: number): Destination | undefined {
    return this.#rows[row];
  }

  find(bytes: IpBytes, length: number): Destination | undefined {
    for (let row = this.#buckets[this.#bucket(bytes, length)]!; row >= 0; row = this.#next[row]!) {
      const destination = this.#rows[row]!;
      if (destination.prefix.length === length && sameOctets(destination.prefix.bytes, bytes)) return destination;
    }
    return undefined;
  }

  /** The caller has looked and not found it. Copies the octets. */
  add(bytes: IpBytes, length: number, owner: NodeNumber): Destination {
    if (this.size >= this.#buckets.length) this.#rehash(this.#buckets.length * 2);
    const row = this.#free.pop() ?? this.#rows.length;
    const prefix = this.#interner ? this.#interner.prefix(bytes, length) : new Prefix(bytes, length);
    const destination = new Destination(row, prefix, owner);
    this.#rows[row] = destination;
    this.#link(destination);
    return destination;
  }

  remove(destination: Destination): void {
    const bucket = this.#bucket(destination.prefix.bytes, destination.prefix.length);
    let row = this.#buckets[bucket]!;
    if (row === destination.row) this.#buckets[bucket] = this.#next[row]!;
    else {
      while (this.#next[row] !== destination.row) row = this.#next[row]!;
      this.#next[row] = this.#next[destination.row]!;
    }
    this.#rows[destination.row] = undefined;
    this.#free.push(destination.row);
  }

  *[Symbol.iterator](): IterableIterator<Destination> {
    for (const destination of this.#rows) if (destination) yield destination;
  }

  #link(destination: Destination): void {
    const bucket = this.#bucket(destination.prefix.bytes, destination.prefix.length);
    this.#next[destination.row] = this.#buckets[bucket]!;
    this.#buckets[bucket] = destination.row;
  }

  #rehash(size: number): void {
    this.#buckets = new Int32Array(size).fill(-1);
    for (const destination of this.#rows) if (destination) this.#link(destination);
  }

  #bucket(bytes: IpBytes, length: number): number {
    let hash = length;
    for (let i = 0; i < 16; i++) hash = Math.imul(hash ^ bytes[i]!, 0x01000193);
    return ((hash ^ (hash >>> 15)) >>> 0) % this.#buckets.length;
  }
}

function sameOctets(a: Uint8Array, b: Uint8Array): boolean {
  for (let i = 15; i >= 0; i--) if (a[i] !== b[i]) return false;
  return true;
}
