import type { Machine } from '../src/machine.js';
import type { Millis } from '../src/time.js';

/** The clock and the one timer a driver needs; the daemon passes a `timedClock`, tests a virtual one. */
export interface Clock {
  /** Monotonic milliseconds. */
  now(): Millis;
  /** Calls back once, at or after `at`; replaces the callback asked for before. */
  wakeAt(at: Millis, callback: () => void): void;
  /** Forgets the callback. */
  cancel(): void;
}

/** The longest a Node timer can wait; a later deadline is looked at again then. */
const longestTimer: Millis = 2 ** 31 - 1;

/**
 * A clock with the process's timer. `now`: one that goes on in a suspend needs somebody who calls `wake` after it, for timers stand
 * still meanwhile.
 */
export function timedClock(now: () => Millis = () => performance.now()): Clock {
  let timer: NodeJS.Timeout | undefined;
  const cancel = () => clearTimeout(timer);
  return {
    now,
    wakeAt(at, callback) {
      cancel();
      if (at === Number.POSITIVE_INFINITY) return;
      // Node cuts fractions off: it would call early, for nothing, and again a millisecond later.
      timer = setTimeout(callback, Math.min(longestTimer, Math.ceil(Math.max(0, at - now()))));
    },
    cancel,
  };
}

/**
 * Runs one machine: one inbox, one timer. Effects are performed in the order the machine gave them, each to its end,
 * before the next event is taken; what an effect posts waits its turn.
 */
export class Driver<Event, Effect> {
  readonly #machine: Machine<Event, Effect>;
  readonly #perform: (effect: Effect, now: Millis) => void;
  readonly #clock: Clock;
  readonly #inbox: Event[] = [];
  #running = false;
  #stopped = false;
  #latest: Millis = 0;

  constructor(machine: Machine<Event, Effect>, perform: (effect: Effect, now: Millis) => void, clock: Clock) {
    this.#machine = machine;
    this.#perform = perform;
    this.#clock = clock;
  }

  /** Time never runs backwards (STYLE 10). */
  now(): Millis {
    this.#latest = Math.max(this.#latest, this.#clock.now());
    return this.#latest;
  }

  post(event: Event): void {
    if (this.#stopped) return;
    this.#inbox.push(event);
    this.#run();
  }

  /** Ticks what is due now and arms the timer; also the way to start. */
  wake(): void {
    if (!this.#stopped) this.#run();
  }

  stop(): void {
    this.#stopped = true;
    this.#inbox.length = 0;
    this.#clock.cancel();
  }

  #run(): void {
    if (this.#running) return;
    this.#running = true;
    try {
      for (let event = this.#inbox.shift(); event !== undefined; event = this.#inbox.shift()) {
        const now = this.now();
        this.#performAll(this.#machine.handle(event, now), now);
      }
      const now = this.now();
      if (!this.#stopped && this.#machine.deadline() <= now) this.#performAll(this.#machine.tick(now), now);
    } finally {
      this.#running = false;
    }
    if (this.#stopped) return;
    this.#clock.wakeAt(this.#inbox.length > 0 ? this.now() : this.#machine.deadline(), () => this.wake());
  }

  #performAll(effects: readonly Effect[], now: Millis): void {
    for (const effect of effects) {
      if (this.#stopped) return;
      this.#perform(effect, now);
    }
  }
}
