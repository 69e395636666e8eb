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
  /** Of the same prefix, the one used before. */
  next: Source | undefined;
}

/** A signature that came for one (prefix, router-id, seqno), by its origin or by the egress. */
export interface Proof {
  readonly router: number;
  readonly seqno: Seqno;
  readonly signer: NodeNumber;
  /** Proven once `valid`; until then every different signature that came, at most four. */
  valid: boolean;
  signature: Uint8Array;
  rivals: Uint8Array[] | undefined;
  /** Of the same prefix, the one that came before. */
  next: Proof | undefined;
}

/** No neighbour; and the mark of what we originate ourselves. */
export const none = -1;
export const ourselves = -2;

/**
 * One prefix and all that is known of it, but for its routes, which are a row of the matrix. There may be a million in a
 * process: what every update looks at comes first, and lists that seldom have more than one entry are chains.
 */
export class Destination {
  readonly row: number;
  /** The node an overlay /64 belongs to; 0 for every other prefix. */
  readonly owner: NodeNumber;
  /** The neighbour's column, `ourselves` or `none`; then what is selected there. */
  selected = none;
  /** The next best usable routes: columns, or none. */
  second = none;
  third = none;
  router = none;
  /** Of an overlay prefix: the router-id of the highest epoch proven, or none. */
  newestRouter = none;
  /** Latest first. */
  sources: Source | undefined;
  proofs: Proof | undefined;
  seqno: Seqno = 0;
  metric: Metric = infinity;

  readonly prefix: Prefix;
  /** When it is first told to anybody; 0: it need not wait, or was. See ripening.ts. */
  ripeAt: Millis = 0;
  sentMetric: Metric = infinity;
  egress: NodeNumber = 0;
  /** Announced by ourselves at this metric. */
  own: Metric | undefined;
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

  /** What the forwarding table was told: columns, best first. */
  toldFirst = none;
  toldSecond = none;
  toldThird = none;
  toldRouter = none;
  toldEgress: NodeNumber = 0;
  toldHeld = false;

  constructor(row: number, prefix: Prefix, owner: NodeNumber) {
    this.row = row;
    this.prefix = prefix;
    this.owner = owner;
  }

  /** True when the forwarding table has a way by this neighbour. */
  isToldBy(column: number): boolean {
    return this.toldFirst === column || this.toldSecond === column || this.toldThird === column;
  }

  source(router: number): Source | undefined {
    let source = this.sources;
    while (source !== undefined && source.router !== router) source = source.next;
    return source;
  }

  /** True when any was dropped. */
  dropSources(isDropped: (source: Source) => boolean): boolean {
    const [kept, dropped] = without(this.sources, isDropped);
    this.sources = kept;
    return dropped;
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
      this.sources = { router, seqno, metric, at: Math.ceil(now), next: shortened(this.sources, maxSources - 1) };
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
    for (let proof = this.proofs; proof; proof = proof.next) {
      if (!proof.valid || proof.router !== this.newestRouter) continue;
      if (!newest || isNewer(proof.seqno, newest.seqno)) newest = proof;
    }
    return newest;
  }

  proof(router: number, seqno: Seqno, signer: NodeNumber): Proof | undefined {
    for (let proof = this.proofs; proof; proof = proof.next) {
      if (proof.router === router && proof.seqno === seqno && proof.signer === signer) return proof;
    }
    return undefined;
  }

  addProof(router: number, seqno: Seqno, signer: NodeNumber, valid: boolean, signature: Uint8Array): void {
    this.proofs = { router, seqno, signer, valid, signature, rivals: undefined, next: this.proofs };
  }

  dropProofs(isDropped: (proof: Proof) => boolean): void {
    this.proofs = without(this.proofs, isDropped)[0];
  }
}

/** The entries of a chain. */
export function* chain<T extends { readonly next: T | undefined }>(first: T | undefined): IterableIterator<T> {
  for (let entry = first; entry; entry = entry.next) yield entry;
}

/** The chain without some entries, and whether there were any. */
function without<T extends { next: T | undefined }>(
  first: T | undefined,
  isDropped: (entry: T) => boolean,
): [T | undefined, boolean] {
  if (!first) return [undefined, false];
  const [rest, dropped] = without(first.next, isDropped);
  if (isDropped(first)) return [rest, true];
  first.next = rest;
  return [first, dropped];
}

/** The first entries of a chain, at most so many. */
function shortened<T extends { next: T | undefined }>(first: T | undefined, most: number): T | undefined {
  let last = first;
  for (let count = 1; last && count < most; count++) last = last.next;
  if (last) last.next = undefined;
  return most > 0 ? first : undefined;
}

/** Int32 of each row: prefix 4 | length 1 | next row in the same bucket 1 | version 1 | spare 1. */
const lanes = 8;
const lengthLane = 4;
const nextLane = 5;
const versionLane = 6;

/** All destinations, by prefix octets and by row. Rows of the forgotten are used again. */
export class DestinationTable {
  readonly #rows: (Destination | undefined)[] = [];
  readonly #free: number[] = [];
  #buckets: Int32Array = new Int32Array(64).fill(-1);
  /** What a search compares, one after the other in memory. */
  #keys: Int32Array = new Int32Array(16 * lanes);
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
    const [a, b, c, d] = [word(bytes, 0), word(bytes, 4), word(bytes, 8), word(bytes, 12)];
    const keys = this.#keys;
    let row = this.#buckets[this.#bucket(a, b, c, d, length)]!;
    for (; row >= 0; row = keys[row * lanes + nextLane]!) {
      const at = row * lanes;
      if (keys[at + 1] !== b || keys[at] !== a || keys[at + lengthLane] !== length) continue;
      if (keys[at + 2] === c && keys[at + 3] === d) return this.#rows[row];
    }
    return undefined;
  }

  /** Changes with everything our updates say, but for the metric's small changes; -1 where there is no destination. */
  versionOf(row: number): number {
    return this.#rows.length > row ? this.#keys[row * lanes + versionLane]! : -1;
  }

  setVersion(row: number, version: number): void {
    this.#keys[row * lanes + versionLane] = version;
  }

  /** The caller has looked and not found it. Copies the octets. */
  add(bytes: IpBytes, length: number, owner: NodeNumber): Destination {
    if (this.size >= this.#buckets.length) this.#rehash(this.#buckets.length * 2);
    const row = this.#free.pop() ?? this.#rows.length;
    const prefix = this.#interner ? this.#interner.prefix(bytes, length) : new Prefix(bytes, length);
    const destination = new Destination(row, prefix, owner);
    this.#rows[row] = destination;
    if ((row + 1) * lanes > this.#keys.length) {
      const keys = new Int32Array(Math.ceil(this.#keys.length * 1.5));
      keys.set(this.#keys);
      this.#keys = keys;
    }
    for (let i = 0; i < 4; i++) this.#keys[row * lanes + i] = word(prefix.bytes, 4 * i);
    this.#keys[row * lanes + lengthLane] = length;
    this.#keys[row * lanes + versionLane] = 0;
    this.#link(row);
    return destination;
  }

  remove({ row }: Destination): void {
    const keys = this.#keys;
    const bucket = this.#bucketOf(row);
    const after = keys[row * lanes + nextLane]!;
    let other = this.#buckets[bucket]!;
    if (other === row) this.#buckets[bucket] = after;
    else {
      while (keys[other * lanes + nextLane] !== row) other = keys[other * lanes + nextLane]!;
      keys[other * lanes + nextLane] = after;
    }
    keys[row * lanes + versionLane] = -1;
    this.#rows[row] = undefined;
    this.#free.push(row);
  }

  *[Symbol.iterator](): IterableIterator<Destination> {
    for (const destination of this.#rows) if (destination) yield destination;
  }

  #link(row: number): void {
    const bucket = this.#bucketOf(row);
    this.#keys[row * lanes + nextLane] = this.#buckets[bucket]!;
    this.#buckets[bucket] = row;
  }

  #rehash(size: number): void {
    this.#buckets = new Int32Array(size).fill(-1);
    this.#rows.forEach((destination, row) => {
      if (destination) this.#link(row);
    });
  }

  #bucketOf(row: number): number {
    const at = row * lanes;
    const keys = this.#keys;
    return this.#bucket(keys[at]!, keys[at + 1]!, keys[at + 2]!, keys[at + 3]!, keys[at + lengthLane]!);
  }

  /** Their number is a power of two. */
  #bucket(a: number, b: number, c: number, d: number, length: number): number {
    let hash = Math.imul(a ^ length, 0x9e3779b1);
    hash = Math.imul((hash ^ (hash >>> 15)) + b, 0x85ebca6b);
    hash = Math.imul((hash ^ (hash >>> 15)) + c, 0xc2b2ae35);
    hash = Math.imul((hash ^ (hash >>> 15)) + d, 0x27d4eb2f);
    return (hash ^ (hash >>> 15)) & (this.#buckets.length - 1);
  }
}

/** Four octets as a signed number. */
function word(bytes: IpBytes, at: number): number {
  return (bytes[at]! << 24) | (bytes[at + 1]! << 16) | (bytes[at + 2]! << 8) | bytes[at + 3]!;
}
