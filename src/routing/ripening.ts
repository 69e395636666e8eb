import type { Random } from '../random.js';
import { type Millis, never, second } from '../time.js';
import type { Destination } from './destination.js';
import type { Metric } from './metric.js';
import type { Tuning } from './tuning.js';

/**
 * Destinations found while many are, when a network starts or two parts of one meet. Told on at once, each would be
 * told by its first way and again by every better one. Instead each waits in proportion to the cost of the link it came
 * by, so news of it travels like Dijkstra's search: the least way's first, and nearly every node tells it once. What
 * ripens at about the same time is told together: in packets that are full. The fewer are being found, the less of both.
 */
export class Ripening {
  readonly #tuning: Tuning;
  /** By when they ripen; each destination stands in one of them at most. */
  readonly #waiting = new Map<Millis, Set<Destination>>();
  /** Where the steps begin, anywhere: neighbours that are in step would all tell and hear at the same moments. */
  readonly #offset: Millis;
  #found: number;
  #foundAt: Millis;
  deadline: Millis = never;

  constructor(tuning: Tuning, random: Random, now: Millis) {
    this.#tuning = tuning;
    this.#offset = tuning.ripeningStep * random.unit();
    // A node that has just started will find many, and so will others if they start too: its first few come worst.
    this.#found = tuning.ripeningFrom;
    this.#foundAt = now;
  }

  /** How many destinations wait. */
  get size(): number {
    let size = 0;
    for (const destinations of this.#waiting.values()) size += destinations.size;
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

  /** Found now by a link of this cost, or bettered by one: it ripens when that is due, or earlier if it was to. */
  add(destination: Destination, cost: Metric, now: Millis): void {
    const { urgentDelay, ripeningPause, ripeningStep, ripeningFrom } = this.#tuning;
    const share = Math.min(1, this.#recently(now) / ripeningFrom);
    // Halved as often as need be, so that what is due at moments of different steps often falls together.
    let step = ripeningStep;
    while (step > 1 && step > ripeningStep * share) step /= 2;
    const ripe = now + urgentDelay + cost * ripeningPause * share - this.#offset;
    const due = Math.ceil(this.#offset + step * Math.ceil(ripe / step));
    if (destination.ripeAt !== 0 && destination.ripeAt <= due) return;
    this.forget(destination);
    destination.ripeAt = due;
    const others = this.#waiting.get(due);
    if (others) others.add(destination);
    else this.#waiting.set(due, new Set([destination]));
    this.deadline = Math.min(this.deadline, due);
  }

  /** Lost, or told before it was ripe: it waits no longer. */
  forget(destination: Destination): void {
    const due = destination.ripeAt;
    destination.ripeAt = 0;
    const others = this.#waiting.get(due);
    others?.delete(destination);
    if (others?.size !== 0) return;
    this.#waiting.delete(due);
    if (this.deadline === due) this.deadline = Math.min(never, ...this.#waiting.keys());
  }

  /** What is ripe, and no longer waits. */
  take(now: Millis): Destination[] {
    const ripe: Destination[] = [];
    this.deadline = never;
    for (const [due, destinations] of this.#waiting) {
      if (due > now) {
        this.deadline = Math.min(this.deadline, due);
        continue;
      }
      this.#waiting.delete(due);
      for (const destination of destinations) {
        destination.ripeAt = 0;
        ripe.push(destination);
      }
    }
    return ripe;
  }
}
