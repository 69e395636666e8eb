import { type Millis, never } from '../time.js';

/**
 * No later than the earliest of many deadlines, so that most calls need not look at them all. Whoever sets a deadline calls
 * `by`; a deadline that moves away leaves the alarm early, and whoever it wakes looks at all and sets it anew.
 */
export class Alarm {
  at: Millis = never;

  by(at: Millis): void {
    if (at < this.at) this.at = at;
  }
}
