import { type Millis, never, second } from '../time.js';
import type { Destination } from './destination.js';
import type { Tuning } from './tuning.js';

/** What ripens within so long is told together. */
const step: Millis = 100;

/**
 * Destinations found while many are, when a network starts or two parts of one meet. Told on at once, each would be
 * told by its first way and again by every better one. Instead each waits in proportion to the cost of the link it came
 * by, so news of it travels like Dijkstra's search: the least way's first, and nearly every node tells it once.
 */
export class Ripening {
  readonly #tuning: Tuning;
  /** By the multiple of `step` at which they ripen; each destination stands in one of them at most. */
  readonly #steps = new Map<number, Set<Destination>>();
  #found = 0;
  #foundAt: Millis = 0;
  deadline: Millis = never;

  constructor(tuning: Tuning) {
    this.#tuning = tuning;
  }

  /** How many destinations wait. */
  get size(): number {
    let size = 0;
    for (const destinations of this.#steps.values()) size += destinations.size;
    return size;
  }

  found(now: Millis): void {
    this.#found = this.#recently(now) + 1;
    this.#foundAt = now;
  }

  /** Found within about the last second. */
  #recently(now: Millis): number {
    return this.#found * Math.max(0, 1 - (now - this.#foundAt) / second);
  }

  /** How long each unit of cost waits now. */
  share(now: Millis): Millis {
    const { ripeningPause, ripeningFrom } = this.#tuning;
    return ripeningPause * Math.min(1, this.#recently(now) / ripeningFrom);
  }

  /** It ripens then, or earlier if it was to. */
  add(destination: Destination, at: Millis): void {
    const due = Math.ceil(at / step);
    if (destination.ripeAt !== 0 && destination.ripeAt <= due * step) return;
    this.forget(destination);
    destination.ripeAt = due * step;
    const others = this.#steps.get(due);
    if (others) others.add(destination);
    else this.#steps.set(due, new Set([destination]));
    this.deadline = Math.min(this.deadline, due * step);
  }

  /** Lost, or told before it was ripe: it waits no longer. */
  forget(destination: Destination): void {
    const due = destination.ripeAt / step;
    destination.ripeAt = 0;
    const others = this.#steps.get(due);
    others?.delete(destination);
    if (others?.size !== 0) return;
    this.#steps.delete(due);
    if (this.deadline === due * step) this.deadline = Math.min(never, ...this.#steps.keys()) * step;
  }

  /** What is ripe, and no longer waits. */
  take(now: Millis): Destination[] {
    const ripe: Destination[] = [];
    this.deadline = never;
    for (const [due, destinations] of this.#steps) {
      if (due * step > now) {
        this.deadline = Math.min(this.deadline, due * step);
        continue;
      }
      this.#steps.delete(due);
      for (const destination of destinations) {
        destination.ripeAt = 0;
        ripe.push(destination);
      }
    }
    return ripe;
  }
}
