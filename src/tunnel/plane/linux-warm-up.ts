import type { Millis } from '../../time.js';
import { Beats } from './beats.js';
import type { BootClock } from './linux-clock.js';
import type { Rehearsal } from './linux-rehearsal.js';
import { Moment } from './moment.js';

/** Each packet there and back so many times: V8 then has compiled what they run through (docs/decisions/130). */
const rounds = 700;
const sliceLength: Millis = 1;
/** Between slices the worker waits in poll, as at rest: what comes is served at once. */
const sliceEvery: Millis = 4;
/** After a packet of the real plane: whoever sends now is not to wait for us. */
const pause: Millis = 30;
/** A loopback that is down, or filtered: nothing can be learnt there, nor kept warm. */
const mostLost = 50;
const echoRequest = 0;

type Rehearsed = Pick<Rehearsal, 'shapes' | 'play' | 'close'>;
type Clock = Pick<BootClock, 'tell'>;

/**
 * Keeps what a worker's packets run through warm, by rehearsing it. At first until V8 has compiled it, as otherwise the first
 * thousands of real packets would be what it learns from, and each would take half as long again: in slices between two
 * looks at the real descriptors, while nothing passes there. From then on one packet now and then while somebody talks, so that
 * the caches hold it (`Beats`).
 */
export class WarmUp {
  readonly #rehearsal: Rehearsed;
  readonly #beats = new Beats();
  #step = 0;
  /** While it learns in all, and then without one that arrived since. */
  #lost = 0;
  #learns = true;
  /** When the next slice is due, while it learns. */
  readonly #at = new Moment();
  readonly #began = new Moment();

  /** The rehearsal is closed with it. */
  constructor(rehearsal: Rehearsed, now: Moment) {
    this.#rehearsal = rehearsal;
    this.#at.millis = now.millis + pause;
  }

  /** How long until `run` is due, as `Moment.until` says it; `most` while nothing is to be done. */
  wait(now: Moment, most: Millis): Millis {
    return now.until(this.#learns ? this.#at : this.#beats.deadline, most);
  }

  /** The real plane was at work; `isLone`: for a packet that came alone. */
  worked(now: Moment, isLone: boolean): void {
    if (this.#learns) this.#at.millis = now.millis + pause;
    else if (isLone && this.#lost <= mostLost) this.#beats.packet(now);
  }

  /** One slice or one beat, at the end of which `now` is that of `clock`. */
  run(clock: Clock, now: Moment): void {
    if (this.#learns) return this.#learn(clock, now);
    clock.tell(this.#began);
    this.#lost = this.#rehearsal.play(echoRequest, now) ? 0 : this.#lost + 1;
    clock.tell(now);
    this.#beats.beat(this.#began, now);
    if (this.#lost > mostLost) this.#beats.end();
  }

  #learn(clock: Clock, now: Moment): void {
    const until = now.millis + sliceLength;
    const { shapes } = this.#rehearsal;
    while (now.millis < until) {
      if (this.#step === 2 * rounds * shapes || this.#lost > mostLost) {
        this.#learns = false;
        this.#beats.end();
        return;
      }
      if (!this.#rehearsal.play((this.#step >>> 1) % shapes, now)) this.#lost++;
      this.#beats.packet(now); // to be compiled like all that a lone packet runs through
      this.#step++;
      clock.tell(now);
    }
    this.#at.millis = now.millis + sliceEvery;
  }

  /** Wipes its keys and ends. */
  close(): void {
    this.#learns = false;
    this.#beats.end();
    this.#rehearsal.close();
  }
}
