import { type Millis, never } from '../../time.js';
import type { Arena } from './arena.js';
import { Moment } from './moment.js';

const patience: Millis = 1000;
/** Nothing waits in a slot whose time is this. */
const free = 0;

/**
 * Frames cut in two by a neighbour, waiting for their other half: as many as the arena has slots for, a second each. Where all are
 * taken, the oldest of the tunnel that holds most goes: a neighbour that sends lone halves displaces its own. Only opened, authentic
 * halves come here, so a stranger cannot fill it. Nothing is made per half where no other plane works in the arena.
 */
export class Joins {
  readonly #arena: Arena;
  /** Where other planes work in the arena too, nothing may stay there between two calls: halves wait here. Made when the first does. */
  #apart: Uint8Array | undefined;
  readonly #isShared: boolean;
  readonly #link: Int32Array;
  readonly #index: Int32Array;
  readonly #counter: Int32Array;
  readonly #second: Uint8Array;
  readonly #length: Int32Array;
  readonly #until: Float64Array;
  #used = 0;
  /** Halves that went for others, before their time, since `expire` told it. */
  #displaced = 0;
  /** When the oldest half has waited too long, or earlier: `expire` then. Good while not empty. */
  readonly deadline = Moment.at(never);
  /** Of the half that `add` found: its first octet in the arena, and its length. Good until the next `add`. */
  otherAt = 0;
  otherLength = 0;

  /** `isShared`: other planes work in the arena too. Each half then costs a view or two. */
  constructor(arena: Arena, isShared: boolean) {
    this.#arena = arena;
    this.#isShared = isShared;
    const slots = arena.halfSlots;
    this.#link = new Int32Array(slots);
    this.#index = new Int32Array(slots);
    this.#counter = new Int32Array(slots);
    this.#second = new Uint8Array(slots);
    this.#length = new Int32Array(slots);
    this.#until = new Float64Array(slots);
  }

  /**
   * Takes a half of the pair whose first counter is `counter`, `length` octets at `at` of the arena: at most `halfLength`, and a copy.
   * True when the other half waits here, which is then at `otherAt`, no longer kept. `link`: the tunnel's; `index`: its lane.
   */
  add(link: number, index: number, counter: number, second: boolean, at: number, length: number, now: Moment): boolean {
    const known = this.#find(index, counter);
    if (known >= 0) {
      const isOther = (this.#second[known] === 1) !== second && this.#until[known]! > now.millis;
      this.#free(known);
      if (isOther) {
        this.otherLength = this.#length[known]!;
        this.otherAt = this.#lookUp(known, this.otherLength);
        return true;
      }
      this.#displaced++;
    }
    const slot = this.#take(link);
    this.#link[slot] = link;
    this.#index[slot] = index;
    this.#counter[slot] = counter;
    this.#second[slot] = second ? 1 : 0;
    this.#length[slot] = length;
    this.#until[slot] = now.millis + patience;
    // Those that come later wait longer.
    if (this.#used === 1) this.deadline.millis = this.#until[slot]!;
    this.#keep(slot, at, length);
    return false;
  }

  /** Drops halves that waited too long; how many, with those that had to go for others. */
  expire(now: Moment): number {
    let dropped = this.#displaced;
    this.#displaced = 0;
    this.deadline.millis = never;
    for (let slot = 0; slot < this.#until.length; slot++) {
      if (this.#until[slot] === free) continue;
      if (this.#until[slot]! > now.millis) {
        this.deadline.millis = Math.min(this.deadline.millis, this.#until[slot]!);
        continue;
      }
      this.#free(slot);
      dropped++;
    }
    return dropped;
  }

  get isEmpty(): boolean {
    return this.#used === 0 && this.#displaced === 0;
  }

  #keep(slot: number, at: number, length: number): void {
    const { bytes, halves, halfSlots, halfLength } = this.#arena;
    if (this.#isShared) {
      this.#apart ??= new Uint8Array(halfSlots * halfLength);
      this.#apart.set(bytes.subarray(at, at + length), slot * halfLength);
    } else bytes.copyWithin(halves + slot * halfLength, at, at + length);
  }

  /** Where in the arena what is kept in this slot lies. */
  #lookUp(slot: number, length: number): number {
    const { bytes, halves, halfLength, foundHalf } = this.#arena;
    const from = slot * halfLength;
    if (!this.#apart) return halves + from;
    bytes.set(this.#apart.subarray(from, from + length), foundHalf);
    return foundHalf;
  }

  #find(index: number, counter: number): number {
    for (let slot = 0, seen = 0; seen < this.#used; slot++) {
      if (this.#until[slot] === free) continue;
      if (this.#counter[slot] === counter && this.#index[slot] === index) return slot;
      seen++;
    }
    return -1;
  }

  /** A slot for one more half. They are few and mostly one, so the first free one is soon found. */
  #take(link: number): number {
    if (this.#used < this.#until.length) {
      this.#used++;
      let slot = 0;
      while (this.#until[slot] !== free) slot++;
      return slot;
    }
    this.#displaced++;
    // Who sends nothing but lone halves is found in one pass.
    return this.#oldestOf(2 * this.#heldBy(link) > this.#until.length ? link : this.#largest());
  }

  /** The tunnel that holds most slots. */
  #largest(): number {
    let largest = 0;
    let most = 0;
    for (let slot = 0; slot < this.#link.length; slot++) {
      const held = this.#heldBy(this.#link[slot]!);
      if (held <= most) continue;
      most = held;
      largest = this.#link[slot]!;
    }
    return largest;
  }

  #heldBy(link: number): number {
    let held = 0;
    for (let slot = 0; slot < this.#link.length; slot++) if (this.#link[slot] === link) held++;
    return held;
  }

  #oldestOf(link: number): number {
    let oldest = -1;
    for (let slot = 0; slot < this.#until.length; slot++) {
      if (this.#link[slot] === link && (oldest < 0 || this.#until[slot]! < this.#until[oldest]!)) oldest = slot;
    }
    return oldest;
  }

  #free(slot: number): void {
    this.#until[slot] = free;
    this.#used--;
  }
}
