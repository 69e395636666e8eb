import { roomFor } from './room.js';

/** No neighbour, no router-id; and the mark of what we originate ourselves. */
export const none = -1;
export const ourselves = -2;

/** The Int32s of each row. */
export const Lane = {
  /** Prefix: four words, then its length and the next row of the same bucket. */
  prefix: 0,
  length: 4,
  next: 5,
  /** Changes with what our updates say. */
  version: 6,
  owner: 7,
  /** Columns. */
  selected: 8,
  second: 9,
  third: 10,
  router: 11,
  newestRouter: 12,
  /** The feasibility distance that was last noted, seqno and metric; and its router-id, none where there is no source. */
  limit: 13,
  limitRouter: 14,
  /** Seqno and router-id of the newest proof; holds where there is a signature. */
  proven: 15,
} as const;

export const stride = 16;

/**
 * What every update looks at, of all destinations of a node: 64 octets a row, a cache line, one behind the other. In a
 * large simulation everything is cold, and objects of a million destinations are on as many pages.
 */
export class HotFields {
  cells: Int32Array<ArrayBuffer> = new Int32Array(16 * stride);
  /** The newest proof's, by row. */
  readonly signatures: (Uint8Array | undefined)[] = [];

  /** Makes room for the row. */
  reserve(row: number): void {
    if ((row + 1) * stride <= this.cells.length) return;
    const cells = new Int32Array(roomFor(row + 1, this.cells.length / stride) * stride);
    cells.set(this.cells);
    this.cells = cells;
  }

  /** Two numbers of 16 bits in one lane. */
  setPair(row: number, lane: number, high: number, low: number): void {
    this.cells[row * stride + lane] = (high << 16) | low;
  }
}
