import { roomFor } from './room.js';

/**
 * Every route we know: one cell of 16 octets for each (destination, neighbour), one row a destination, so that selection
 * walks memory in order. Also what was said of the destination to that neighbour, in the flags. A LAN's multicast,
 * which is told things but tells none, has a column of its own.
 *
 *   refmetric u16 | seqno u16 | router u16 | interval u16 (cs) | expiry u32 (tenths of a second) | flags u8, egress u24
 */
export const Flag = {
  /** Heard: there is a route in this cell. */
  present: 1,
  /** A route request was sent because it is about to expire. */
  asked: 2,
  /** Its origin is not proven (yet): never selected. */
  unproven: 4,
  /** Said: waiting in the outlet's queue. */
  pending: 8,
  /** Said: sent and not acknowledged. */
  awaiting: 16,
  /** Said: it knows the proof of the (router-id, seqno) now selected. */
  proofKnown: 32,
  /** Said: to be told even where split horizon would be silent, because it asked. */
  forced: 64,
  /** Said: it was told a finite metric and no retraction since. */
  announced: 128,
} as const;

const lanes = 8;

export class RouteMatrix {
  #cells: Uint16Array;
  #rows = 16;
  #columns = 4;

  constructor() {
    this.#cells = new Uint16Array(this.#rows * this.#columns * lanes);
  }

  get octets(): number {
    return this.#cells.byteLength;
  }

  /** Makes room for `rows` destinations and `columns` neighbours; what is there stays. */
  reserve(rows: number, columns: number): void {
    if (rows <= this.#rows && columns <= this.#columns) return;
    const newRows = rows <= this.#rows ? this.#rows : roomFor(rows, this.#rows);
    const newColumns = columns <= this.#columns ? this.#columns : columns + (columns >> 3) + 1;
    const cells = new Uint16Array(newRows * newColumns * lanes);
    for (let row = 0; row < this.#rows; row++) {
      const from = row * this.#columns * lanes;
      cells.set(this.#cells.subarray(from, from + this.#columns * lanes), row * newColumns * lanes);
    }
    this.#cells = cells;
    this.#rows = newRows;
    this.#columns = newColumns;
  }

  clear(row: number, column: number): void {
    const at = this.#at(row, column);
    this.#cells.fill(0, at, at + lanes);
  }

  clearRow(row: number): void {
    const at = this.#at(row, 0);
    this.#cells.fill(0, at, at + this.#columns * lanes);
  }

  flags(row: number, column: number): number {
    return this.#cells[this.#at(row, column) + 6]! & 0xff;
  }

  has(row: number, column: number, flag: number): boolean {
    return (this.#cells[this.#at(row, column) + 6]! & flag) !== 0;
  }

  raise(row: number, column: number, flags: number): void {
    this.#cells[this.#at(row, column) + 6]! |= flags;
  }

  lower(row: number, column: number, flags: number): void {
    this.#cells[this.#at(row, column) + 6]! &= ~flags;
  }

  /** A proven route with just this is known. */
  says(row: number, column: number, refmetric: number, seqno: number, router: number): boolean {
    const at = this.#at(row, column);
    const cells = this.#cells;
    if (cells[at] !== refmetric || cells[at + 1] !== seqno || cells[at + 2] !== router) return false;
    return (cells[at + 6]! & (Flag.present | Flag.unproven)) === Flag.present;
  }

  refmetric(row: number, column: number): number {
    return this.#cells[this.#at(row, column)]!;
  }

  setRefmetric(row: number, column: number, metric: number): void {
    this.#cells[this.#at(row, column)] = metric;
  }

  seqno(row: number, column: number): number {
    return this.#cells[this.#at(row, column) + 1]!;
  }

  router(row: number, column: number): number {
    return this.#cells[this.#at(row, column) + 2]!;
  }

  /** Centiseconds. */
  interval(row: number, column: number): number {
    return this.#cells[this.#at(row, column) + 3]!;
  }

  /** Tenths of a second on the speaker's own scale. */
  expiry(row: number, column: number): number {
    const at = this.#at(row, column);
    return this.#cells[at + 4]! * 65536 + this.#cells[at + 5]!;
  }

  setExpiry(row: number, column: number, tenths: number): void {
    const at = this.#at(row, column);
    this.#cells[at + 4] = Math.floor(tenths / 65536);
    this.#cells[at + 5] = tenths & 0xffff;
  }

  /** A node number, 0 for none. */
  egress(row: number, column: number): number {
    const at = this.#at(row, column);
    return ((this.#cells[at + 6]! >> 8) << 16) | this.#cells[at + 7]!;
  }

  set(
    row: number,
    column: number,
    refmetric: number,
    seqno: number,
    router: number,
    interval: number,
    egress: number,
  ): void {
    const at = this.#at(row, column);
    const cells = this.#cells;
    cells[at] = refmetric;
    cells[at + 1] = seqno;
    cells[at + 2] = router;
    cells[at + 3] = interval;
    cells[at + 6] = (cells[at + 6]! & 0xff) | Flag.present | ((egress >> 16) << 8);
    cells[at + 7] = egress & 0xffff;
  }

  #at(row: number, column: number): number {
    return (row * this.#columns + column) * lanes;
  }
}
