import type { Millis } from './time.js';

/**
 * A protocol as a synchronous machine: bytes and facts in, orders out. It holds no timer, socket, clock or source of
 * chance, so a whole network of them runs in one process on a virtual clock, the same seed giving the same run.
 *
 * The driver calls `tick` when `now` has reached `deadline()`, and asks for the deadline again after every call.
 */
export interface Machine<Event, Effect> {
  /** Takes one past fact. Never throws on remote input. */
  handle(event: Event, now: Millis): Effect[];
  /** Does what is due. Calling it early or twice does no harm. */
  tick(now: Millis): Effect[];
  /** When `tick` wants to be called next; `never` when it waits for nothing. */
  deadline(): Millis;
}
