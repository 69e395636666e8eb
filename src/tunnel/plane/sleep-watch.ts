import { type Millis, second } from '../../time.js';
import type { Moment } from './moment.js';

/** Whoever was away for less lost nothing that liveness does not mend; peers close a tunnel after 2 s of silence. */
const leastSleep: Millis = 3 * second;
/** Between two looks in a busy loop. */
const lookEvery: Millis = 100;

/**
 * Notices that we were away, by two signs: the machine was suspended for longer than at the last look; or this look
 * comes long after the last wait was to end, because the process was stopped or the virtual machine paused.
 */
export class SleepWatch {
  #asleep: Millis;
  /** Set each turn: see `Moment.millis`. */
  #expectedAt: Millis = Number.NEGATIVE_INFINITY;
  #dueAt: Millis;

  /** `asleep`: how long the machine has been suspended since it was booted. */
  constructor(now: Millis, asleep: Millis) {
    this.#asleep = asleep;
    this.#expectedAt = now;
    this.#dueAt = now;
  }

  /** Whether `look` is worth its clocks. */
  isDue(now: Moment): boolean {
    return now.millis >= this.#dueAt;
  }

  /** Nothing is looked at for so many milliseconds, at the most. */
  waits(now: Moment, millis: Millis): void {
    this.#expectedAt = now.millis + millis;
  }

  /** How long we were away; undefined: we were not, or too short to matter. */
  look(now: Millis, asleep: Millis): Millis | undefined {
    const away = Math.max(asleep - this.#asleep, now - this.#expectedAt);
    this.#asleep = asleep;
    this.#expectedAt = now;
    this.#dueAt = now + lookEvery;
    return away >= leastSleep ? away : undefined;
  }
}
