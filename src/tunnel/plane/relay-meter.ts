import { second } from '../../time.js';
import type { Moment } from './moment.js';

const words = 2;
/** Octets a limit lets pass at once: a quarter of a second's, and room for a few full reads. */
const smallestBurst = 65_536;
const largestBurst = 2 ** 30;

/**
 * What the workers of a plane pass on for others, all together: how much it was, and how much it may be. One limit for
 * all, as a single flow is one worker's.
 *
 *   i32: 0 octets that may pass now │ 1 until when they were counted, whole milliseconds │ f64, one a worker: octets passed on
 */
export class RelayMeter {
  readonly #words: Int32Array;
  readonly #passed: Float64Array;
  readonly #worker: number;
  #perMilli = 0;
  #burst = 0;

  static byteLength(workers: number): number {
    return 4 * words + 8 * workers;
  }

  constructor(shared: SharedArrayBuffer, worker: number) {
    this.#words = new Int32Array(shared, 0, words);
    this.#passed = new Float64Array(shared, 4 * words);
    this.#worker = worker;
  }

  /** Octets a second from now on; undefined: as many as come. Every worker is told the same. */
  limit(perSecond: number | undefined, now: Moment): void {
    this.#perMilli = (perSecond ?? 0) / second;
    this.#burst = Math.min(largestBurst, Math.max(smallestBurst, (perSecond ?? 0) / 4));
    Atomics.store(this.#words, 1, Math.trunc(now.millis) | 0);
    Atomics.store(this.#words, 0, this.#burst);
  }

  /** True when these octets may be passed on; then they are counted. */
  take(octets: number, now: Moment): boolean {
    if (this.#perMilli > 0) {
      this.#fill(now);
      // Between the two another worker may take the same: that debt is paid before anything else passes.
      if (Atomics.load(this.#words, 0) < octets) return false;
      Atomics.sub(this.#words, 0, octets);
    }
    this.#passed[this.#worker]! += octets;
    return true;
  }

  /** Octets passed on by all workers since the start; each counts once, though the line carries it in and out. */
  get passed(): number {
    return this.#passed.reduce((sum, octets) => sum + octets, 0);
  }

  #fill(now: Moment): void {
    const until = Math.trunc(now.millis) | 0;
    const from = Atomics.load(this.#words, 1);
    const apart = (until - from) | 0;
    // Another worker's clock was read a little later. What seems far back is a rest of more than 2^31 ms, which words cannot tell.
    if (apart <= 0 && apart > -second) return;
    const millis = apart >>> 0;
    // Who writes the time adds what it is worth: each millisecond counts once.
    if (Atomics.compareExchange(this.#words, 1, from, until) !== from) return;
    const room = this.#burst - Atomics.load(this.#words, 0);
    const more = Math.min(room, Math.floor(millis * this.#perMilli));
    if (more > 0) Atomics.add(this.#words, 0, more);
  }
}
