import type { Millis } from '../time.js';
import type { Metric } from './metric.js';

/** 96 and about 10 a millisecond (re6stnet's slope): delay decides, and a hop costs as much as 10 ms. */
const base = 96;
const perMilli = 10;
/** Twelve links as bad as links get stay below 65535. */
const most: Metric = 5400;
/** A tunnel not measured yet counts as 30 ms. */
const unmeasured: Millis = 30;
/** One in a hundred lost is as bad as 10 ms: TCP feels loss far more than delay. */
const millisPerLoss = 1000;
/** Half of what packets are late by, jitter, is felt as delay. */
const jitterShare = 0.5;
/** Smoothing by time: half of a step is believed after about a second. */
const smoothing: Millis = 1500;
/** Changes below 2 ms and 4 % of the cost are noise. */
const deadMillis = 2;
const deadShare = 0.04;

/**
 * The cost of a tunnel from the plane's measurements, smoothed, and still while only noise moves it. Measurements come
 * when something changed noticeably, so between two the earlier one is taken to have lasted.
 */
export class LinkCost {
  cost: Metric = base + perMilli * unmeasured;
  #smoothed = -1;
  #latest = 0;
  #at: Millis = 0;

  /** True when `cost` changed. `loss`: 0 to 1. */
  measured(rtt: Millis, jitter: Millis, loss: number, now: Millis): boolean {
    const felt =
      Math.max(0, Number.isFinite(rtt) ? rtt : 0) +
      jitterShare * Math.max(0, Number.isFinite(jitter) ? jitter : 0) +
      millisPerLoss * Math.min(1, Math.max(0, Number.isFinite(loss) ? loss : 0));
    // More than that would only be remembered for longer.
    const counted = Math.min(felt, (most - base) / perMilli);
    const first = this.#smoothed < 0;
    this.#settle(now);
    if (first) this.#smoothed = counted;
    this.#latest = counted;
    this.#at = now;
    return this.#publish(first);
  }

  /** It leads along another path: the next measurement is believed whole. */
  pathChanged(): void {
    this.#smoothed = -1;
  }

  /** The same, while nothing new was measured: the smoothed value goes on towards the last one. */
  rest(now: Millis): boolean {
    if (this.#smoothed < 0) return false;
    this.#settle(now);
    return this.#publish(false);
  }

  /** True while the smoothed value still has a way to go, so that `rest` should be called again. */
  get isMoving(): boolean {
    return this.#smoothed >= 0 && Math.abs(this.#latest - this.#smoothed) > deadMillis / 4;
  }

  #settle(now: Millis): void {
    const passed = Math.max(0, now - this.#at);
    this.#at = Math.max(this.#at, now);
    if (this.#smoothed >= 0) {
      this.#smoothed = this.#latest + (this.#smoothed - this.#latest) * Math.exp(-passed / smoothing);
    }
  }

  #publish(force: boolean): boolean {
    const wanted = Math.min(most, Math.round(base + perMilli * this.#smoothed));
    const moved = Math.abs(wanted - this.cost);
    if (moved === 0 || (!force && moved <= this.#dead(this.cost / perMilli))) return false;
    this.cost = wanted;
    return true;
  }

  #dead(millis: number): number {
    return perMilli * Math.max(deadMillis, deadShare * millis);
  }
}
