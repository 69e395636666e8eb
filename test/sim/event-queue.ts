import type { Millis } from '../../src/time.js';

interface Entry {
  readonly time: Millis;
  readonly order: number;
  readonly action: () => void;
}

/**
 * What is due, earliest first; at the same time, in the order in which it was added, so a run repeats exactly. A binary heap:
 * the children of entry i are 2i + 1 and 2i + 2, and no child is due before its parent.
 */
export class EventQueue {
  readonly #heap: Entry[] = [];
  #added = 0;

  get size(): number {
    return this.#heap.length;
  }

  /** When the earliest is due; Infinity when there is none. */
  get nextTime(): Millis {
    return this.#heap[0]?.time ?? Number.POSITIVE_INFINITY;
  }

  add(time: Millis, action: () => void): void {
    const heap = this.#heap;
    const entry = { time, order: this.#added++, action };
    let at = heap.length;
    heap.push(entry);
    while (at > 0) {
      const parent = (at - 1) >> 1;
      if (isBefore(heap[parent]!, entry)) break;
      heap[at] = heap[parent]!;
      at = parent;
    }
    heap[at] = entry;
  }

  /** Takes out the earliest; undefined when there is none. */
  take(): (() => void) | undefined {
    const heap = this.#heap;
    const first = heap[0];
    const last = heap.pop();
    if (!first || !last || heap.length === 0) return first?.action;
    let at = 0;
    for (;;) {
      let child = 2 * at + 1;
      if (child >= heap.length) break;
      if (child + 1 < heap.length && isBefore(heap[child + 1]!, heap[child]!)) child++;
      if (isBefore(last, heap[child]!)) break;
      heap[at] = heap[child]!;
      at = child;
    }
    heap[at] = last;
    return first.action;
  }
}

function isBefore(a: Entry, b: Entry): boolean {
  return a.time < b.time || (a.time === b.time && a.order < b.order);
}
