import type { Millis } from '../../src/time.js';

/**
 * What is due, earliest first; at the same time, in the order in which it was added, so a run repeats exactly. A binary
 * heap: the children of entry i are 2i + 1 and 2i + 2, and no child is due before its parent. Times and orders are
 * arrays of their own, or every comparison would be a walk through memory.
 */
export class EventQueue {
  #times: Float64Array<ArrayBuffer>;
  #orders: Float64Array<ArrayBuffer>;
  readonly #actions: (() => void)[] = [];
  #added = 0;

  /** `size`: for how many there is room before it grows. */
  constructor(size = 1024) {
    this.#times = new Float64Array(size);
    this.#orders = new Float64Array(size);
  }

  get size(): number {
    return this.#actions.length;
  }

  /** When the earliest is due; Infinity when there is none. */
  get nextTime(): Millis {
    return this.#actions.length > 0 ? this.#times[0]! : Number.POSITIVE_INFINITY;
  }

  add(time: Millis, action: () => void): void {
    let at = this.#actions.length;
    if (at === this.#times.length) {
      this.#times = doubled(this.#times);
      this.#orders = doubled(this.#orders);
    }
    this.#actions.push(action);
    while (at > 0) {
      const parent = (at - 1) >> 1;
      if (this.#times[parent]! <= time) break; // added before
      this.#move(parent, at);
      at = parent;
    }
    this.#put(at, time, this.#added++, action);
  }

  /** Takes out the earliest; undefined when there is none. */
  take(): (() => void) | undefined {
    const first = this.#actions[0];
    const last = this.#actions.pop();
    const size = this.#actions.length;
    if (!first || !last || size === 0) return first;
    const time = this.#times[size]!;
    const order = this.#orders[size]!;
    let at = 0;
    for (;;) {
      let child = 2 * at + 1;
      if (child >= size) break;
      if (child + 1 < size && this.#isBefore(child + 1, this.#times[child]!, this.#orders[child]!)) child++;
      if (!this.#isBefore(child, time, order)) break;
      this.#move(child, at);
      at = child;
    }
    this.#put(at, time, order, last);
    return first;
  }

  #isBefore(at: number, time: Millis, order: number): boolean {
    return this.#times[at]! < time || (this.#times[at] === time && this.#orders[at]! < order);
  }

  #move(from: number, to: number): void {
    this.#put(to, this.#times[from]!, this.#orders[from]!, this.#actions[from]!);
  }

  #put(at: number, time: Millis, order: number, action: () => void): void {
    this.#times[at] = time;
    this.#orders[at] = order;
    this.#actions[at] = action;
  }
}

function doubled(values: Float64Array<ArrayBuffer>): Float64Array<ArrayBuffer> {
  const more = new Float64Array(2 * values.length);
  more.set(values);
  return more;
}
