import type { Millis } from '../../src/time.js';
import { EventQueue } from './event-queue.js';

/**
 * What is due when, and the clock it runs on. Without `lookahead` everything is done in the order of time.
 *
 * With it, nodes that hear of one another only after `lookahead` or later take turns: each does at once all that is due
 * to it within a window of that length, so that its tables are in the cache meanwhile. What one does in a window cannot
 * reach another before the window is over, so every node sees what it sees in the strict order; only who is observed
 * first differs, as it would between machines without a common clock. What is done to the network as a whole ends a
 * window.
 */
export class Agenda {
  readonly #lookahead: Millis;
  /** What concerns the whole network; without lookahead, everything. */
  readonly #common = new EventQueue();
  readonly #queues: EventQueue[] = [];
  /** When the first of each queue is due, in one array. */
  #next: Float64Array<ArrayBuffer> = new Float64Array(64).fill(Number.POSITIVE_INFINITY);
  /** The node whose turn it is, and when that ends. */
  #turn = -1;
  #end: Millis = 0;
  #now: Millis = 0;

  constructor(lookahead: Millis = 0) {
    this.#lookahead = lookahead;
  }

  get now(): Millis {
    return this.#now;
  }

  /** Done at that time, whichever node it concerns. */
  at(time: Millis, action: () => void): void {
    if (this.#turn >= 0) throw new Error('a node cannot arrange what concerns the whole network');
    this.#common.add(time, action);
  }

  /** Done at that time by this node. */
  by(node: number, time: Millis, action: () => void): void {
    if (this.#lookahead === 0) {
      this.#common.add(time, action);
      return;
    }
    if (this.#turn >= 0 && node !== this.#turn && time < this.#end) {
      throw new Error(`node ${this.#turn} reaches node ${node} in less than the lookahead`);
    }
    while (this.#queues.length <= node) this.#queues.push(new EventQueue(16));
    if (node >= this.#next.length) {
      const more = new Float64Array(2 * node).fill(Number.POSITIVE_INFINITY);
      more.set(this.#next);
      this.#next = more;
    }
    this.#queues[node]!.add(time, action);
    if (time < this.#next[node]!) this.#next[node] = time;
  }

  /** Until that time: with it in strict order, up to it with lookahead. */
  runTo(time: Millis): void {
    if (this.#lookahead === 0) this.#runCommon(time);
    else while (this.#now < time) this.#runWindow(time);
    this.#now = Math.max(this.#now, time);
  }

  #runCommon(time: Millis): void {
    while (this.#common.nextTime <= time) {
      this.#now = this.#common.nextTime;
      this.#common.take()?.();
    }
  }

  #runWindow(time: Millis): void {
    const start = this.#now;
    this.#runCommon(start);
    const end = Math.min(start + this.#lookahead, this.#common.nextTime, time);
    this.#end = end;
    for (let node = 0; node < this.#queues.length; node++) {
      if (this.#next[node]! >= end) continue;
      const queue = this.#queues[node]!;
      this.#turn = node;
      while (queue.nextTime < end) {
        this.#now = Math.max(start, queue.nextTime);
        queue.take()?.();
      }
      this.#next[node] = queue.nextTime;
    }
    this.#turn = -1;
    this.#now = end;
  }
}
