/** Pieces of the arena, to be written as one. */
export class Gather {
  readonly offsets = new Int32Array(72);
  readonly lengths = new Int32Array(72);
  count = 0;
  total = 0;

  add(at: number, length: number): void {
    this.offsets[this.count] = at;
    this.lengths[this.count] = length;
    this.count++;
    this.total += length;
  }

  clear(): void {
    this.count = 0;
    this.total = 0;
  }

  get isFull(): boolean {
    return this.count === this.offsets.length;
  }
}
