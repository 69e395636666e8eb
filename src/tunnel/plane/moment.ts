import type { Millis } from '../../time.js';

/**
 * A time in a place of its own, so that it goes from function to function as one object. V8 makes a heap number of each
 * fraction that is handed over or returned; a time handed on as a number would be an allocation per lone packet.
 *
 * `now` is the time that a turn of the plane's loop goes by: its shell sets it, whoever works in that turn reads it at once, and what is
 * kept for later is its `millis`.
 */
export class Moment {
  /** Before all others until it is set. A number from the start: V8 would not store one in place where `undefined` was. */
  millis: Millis = Number.NEGATIVE_INFINITY;

  static at(millis: Millis): Moment {
    const moment = new Moment();
    moment.millis = millis;
    return moment;
  }

  /** How long until a deadline, in whole milliseconds, which V8 hands on as they are: 0 when it has come, `most` at the most. */
  until(deadline: Moment, most: Millis): Millis {
    return Math.ceil(Math.min(most, Math.max(0, deadline.millis - this.millis))) | 0;
  }
}
