import type { IpBytes } from '../addr/ip.js';
import type { NodeNumber } from '../addr/node-number.js';
import { Prefix } from '../addr/prefix.js';
import type { Random } from '../random.js';
import type { Millis } from '../time.js';
import type { Interner } from './contract.js';
import { HotFields, Lane, none, stride } from './hot-fields.js';
import { hashKeys, shiftFor } from './keyed-hash.js';
import type { LeftWays } from './left-ways.js';
import { infinity, type Metric } from './metric.js';
import { isNewer, type Seqno } from './seqno.js';

/** The best we ever announced of one (prefix, router-id): the feasibility distance (RFC 8966 §3.2.6). */
export interface Source {
  readonly router: number;
  seqno: Seqno;
  metric: Metric;
  /** When a finite update last left, or it was last what we use: its time runs from then (see `noteUnused`). */
  at: Millis;
  /** Of the same prefix, the one used before. */
  next: Source | undefined;
}

/** A signature not checked yet, and the neighbour that brought it, whom the check will cost. */
export interface Claim {
  readonly signature: Uint8Array;
  readonly by: NodeNumber;
}

/** A signature that came for one (prefix, router-id, seqno), by its origin or by the egress. */
export interface Proof {
  readonly router: number;
  readonly seqno: Seqno;
  readonly signer: NodeNumber;
  /** Proven once `valid`; until then the first that came, and those that other neighbours brought, at most four in all. */
  valid: boolean;
  signature: Uint8Array;
  by: NodeNumber;
  rivals: Claim[] | undefined;
  /** Of the same prefix, the one that came before. */
  next: Proof | undefined;
}

/**
 * One prefix and all that is known of it, but for its routes, which are a row of the matrix. There may be a million in a
 * process: what every update looks at is in the hot fields, and lists that seldom have more than one entry are chains.
 */
export class Destination {
  readonly row: number;
  readonly #hot: HotFields;
  /** Latest first. */
  sources: Source | undefined;
  proofs: Proof | undefined;
  /** What is selected. */
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
  left: LeftWays | undefined;

  /** What the forwarding table was told: columns, best first. */
  toldFirst = none;
  toldSecond = none;
  toldThird = none;
  toldRouter = none;
  toldEgress: NodeNumber = 0;
  toldHeld = false;

  constructor(row: number, prefix: Prefix, owner: NodeNumber, hot: HotFields = new HotFields()) {
    this.row = row;
    this.prefix = prefix;
    this.#hot = hot;
    hot.reserve(row);
    const { cells } = hot;
    const at = row * stride;
    cells[at + Lane.owner] = owner;
    for (let lane: number = Lane.selected; lane < stride; lane++) cells[at + lane] = none;
    hot.signatures[row] = undefined;
  }

  /** The node an overlay /64 belongs to; 0 for every other prefix. */
  get owner(): NodeNumber {
    return this.#hot.cells[this.row * stride + Lane.owner]!;
  }

  /** The neighbour's column, `ourselves` or `none`. */
  get selected(): number {
    return this.#hot.cells[this.row * stride + Lane.selected]!;
  }

  set selected(column: number) {
    this.#hot.cells[this.row * stride + Lane.selected] = column;
  }

  /** The next best usable routes: columns, or none. */
  get second(): number {
    return this.#hot.cells[this.row * stride + Lane.second]!;
  }

  set second(column: number) {
    this.#hot.cells[this.row * stride + Lane.second] = column;
  }

  get third(): number {
    return this.#hot.cells[this.row * stride + Lane.third]!;
  }

  set third(column: number) {
    this.#hot.cells[this.row * stride + Lane.third] = column;
  }

  /** Of what is selected, or was last. */
  get router(): number {
    return this.#hot.cells[this.row * stride + Lane.router]!;
  }

  set router(router: number) {
    this.#hot.cells[this.row * stride + Lane.router] = router;
  }

  /** Of an overlay prefix: the router-id of the highest epoch proven, or none. */
  get newestRouter(): number {
    return this.#hot.cells[this.row * stride + Lane.newestRouter]!;
  }

  set newestRouter(router: number) {
    this.#hot.cells[this.row * stride + Lane.newestRouter] = router;
    this.noteProven();
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
    if (dropped) this.#noteLimit(kept);
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
   * Must come before the update leaves (RFC 8966 §3.7.3). A retraction neither makes nor refreshes an entry. True when
   * less is feasible now than before.
   */
  noteSent(router: number, seqno: Seqno, metric: Metric, now: Millis, maxSources: number): boolean {
    if (metric === infinity) return false;
    const source = this.source(router);
    if (!source) {
      this.sources = { router, seqno, metric, at: Math.ceil(now), next: shortened(this.sources, maxSources - 1) };
      this.#noteLimit(this.sources);
      return true;
    }
    source.at = Math.ceil(now);
    const isBetter = isNewer(seqno, source.seqno) || (seqno === source.seqno && metric < source.metric);
    if (isBetter) {
      source.seqno = seqno;
      source.metric = metric;
    }
    this.#noteLimit(source);
    return isBetter;
  }

  /**
   * What this router-id announced is selected no more. A tunnel's full table is so rare that the last update may be older
   * than a source's time: counted from there, the distance would be forgotten just when it is needed, and what our
   * neighbours have from us would be feasible.
   */
  noteUnused(router: number, now: Millis): void {
    const source = this.source(router);
    if (source) source.at = Math.ceil(now);
  }

  #noteLimit(source: Source | undefined): void {
    this.#hot.cells[this.row * stride + Lane.limitRouter] = source ? source.router : none;
    if (source) this.#hot.setPair(this.row, Lane.limit, source.seqno, source.metric);
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

  /** Proven or not. */
  hasProofBy(signer: NodeNumber): boolean {
    for (let proof = this.proofs; proof; proof = proof.next) if (proof.signer === signer) return true;
    return false;
  }

  addProof(router: number, seqno: Seqno, signer: NodeNumber, valid: boolean, { signature, by }: Claim): void {
    this.proofs = { router, seqno, signer, valid, signature, by, rivals: undefined, next: this.proofs };
    if (valid) this.noteProven();
  }

  dropProofs(isDropped: (proof: Proof) => boolean): void {
    const [kept, dropped] = without(this.proofs, isDropped);
    this.proofs = kept;
    if (dropped) this.noteProven();
  }

  /** To be called when the validity of a proof or its signature was changed. */
  noteProven(): void {
    const newest = this.newestProof();
    this.#hot.signatures[this.row] = newest?.signature;
    if (newest) this.#hot.setPair(this.row, Lane.proven, newest.seqno, newest.router);
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

/** All destinations, by prefix octets and by row. Rows of the forgotten are used again. */
export class DestinationTable {
  readonly #rows: (Destination | undefined)[] = [];
  readonly #free: number[] = [];
  #buckets: Int32Array = new Int32Array(64).fill(-1);
  #shift = shiftFor(64);
  readonly hot: HotFields = new HotFields();
  readonly #interner: Interner | undefined;
  readonly #keys: Int32Array;

  /** `random`: the hash's keys. */
  constructor(interner: Interner | undefined, random: Random) {
    this.#interner = interner;
    this.#keys = hashKeys(9, random);
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
    const row = this.rowOf(bytes, length);
    return row >= 0 ? this.#rows[row] : undefined;
  }

  /** -1 where there is no such destination. */
  rowOf(bytes: IpBytes, length: number): number {
    const [a, b, c, d] = [word(bytes, 0), word(bytes, 4), word(bytes, 8), word(bytes, 12)];
    const { cells } = this.hot;
    let row = this.#buckets[this.#bucket(a, b, c, d, length)]!;
    for (; row >= 0; row = cells[row * stride + Lane.next]!) {
      const at = row * stride;
      if (cells[at + 1] !== b || cells[at] !== a || cells[at + Lane.length] !== length) continue;
      if (cells[at + 2] === c && cells[at + 3] === d) return row;
    }
    return -1;
  }

  /** Changes with everything our updates say, but for the metric's small changes; -1 where there is no destination. */
  versionOf(row: number): number {
    return this.#rows.length > row ? this.hot.cells[row * stride + Lane.version]! : -1;
  }

  setVersion(row: number, version: number): void {
    this.hot.cells[row * stride + Lane.version] = version;
  }

  /** For `add`. Copies the octets. */
  prefixOf(bytes: IpBytes, length: number): Prefix {
    return this.#interner ? this.#interner.prefix(bytes, length) : new Prefix(bytes, length);
  }

  /** The caller has looked and not found it. `prefix`: from `prefixOf`. */
  add(prefix: Prefix, owner: NodeNumber): Destination {
    if (this.size >= this.#buckets.length) this.#rehash(this.#buckets.length * 2);
    const row = this.#free.pop() ?? this.#rows.length;
    const destination = new Destination(row, prefix, owner, this.hot);
    this.#rows[row] = destination;
    const { cells } = this.hot;
    for (let i = 0; i < 4; i++) cells[row * stride + i] = word(prefix.bytes, 4 * i);
    cells[row * stride + Lane.length] = prefix.length;
    cells[row * stride + Lane.version] = 0;
    this.#link(row);
    return destination;
  }

  remove({ row }: Destination): void {
    const { cells } = this.hot;
    const bucket = this.#bucketOf(row);
    const after = cells[row * stride + Lane.next]!;
    let other = this.#buckets[bucket]!;
    if (other === row) this.#buckets[bucket] = after;
    else {
      while (cells[other * stride + Lane.next] !== row) other = cells[other * stride + Lane.next]!;
      cells[other * stride + Lane.next] = after;
    }
    cells[row * stride + Lane.version] = -1;
    this.hot.signatures[row] = undefined;
    this.#rows[row] = undefined;
    this.#free.push(row);
  }

  *[Symbol.iterator](): IterableIterator<Destination> {
    for (const destination of this.#rows) if (destination) yield destination;
  }

  #link(row: number): void {
    const bucket = this.#bucketOf(row);
    this.hot.cells[row * stride + Lane.next] = this.#buckets[bucket]!;
    this.#buckets[bucket] = row;
  }

  #rehash(size: number): void {
    this.#buckets = new Int32Array(size).fill(-1);
    this.#shift = shiftFor(size);
    this.#rows.forEach((destination, row) => {
      if (destination) this.#link(row);
    });
  }

  #bucketOf(row: number): number {
    const at = row * stride;
    const { cells } = this.hot;
    return this.#bucket(cells[at]!, cells[at + 1]!, cells[at + 2]!, cells[at + 3]!, cells[at + Lane.length]!);
  }

  #bucket(a: number, b: number, c: number, d: number, length: number): number {
    const keys = this.#keys;
    const first =
      Math.imul(keys[0]!, a >>> 16) +
      Math.imul(keys[1]!, a & 0xffff) +
      Math.imul(keys[2]!, b >>> 16) +
      Math.imul(keys[3]!, b & 0xffff);
    const second =
      Math.imul(keys[4]!, c >>> 16) +
      Math.imul(keys[5]!, c & 0xffff) +
      Math.imul(keys[6]!, d >>> 16) +
      Math.imul(keys[7]!, d & 0xffff);
    const sum = (first | 0) + (second | 0) + Math.imul(keys[8]!, length) + keys[9]!;
    return (sum | 0) >>> this.#shift;
  }
}

/** Four octets as a signed number. */
function word(bytes: IpBytes, at: number): number {
  return (bytes[at]! << 24) | (bytes[at + 1]! << 16) | (bytes[at + 2]! << 8) | bytes[at + 3]!;
}
