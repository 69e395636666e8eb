import type { Millis } from '../../time.js';
import type { LinkCounters } from './contract.js';
import type { Moment } from './moment.js';

/** A datagram of this size passes on every path we accept: IPv4 packets of 1124 octets, tunnels in tunnels. */
export const smallestPathSize = 1096;

/** Even, as the numbers behind them want. */
const words = 6;
const perWorker = 6;
/**
 * Our tuning: control frames of one link that wait for the control plane. A table of routes comes by 80 frames in 100 ms, gossip
 * by 400 at once; each may cost the control plane a millisecond, and all other links wait behind them.
 */
const mostUnread = 500;

/**
 * What the workers share of a link; the main thread reads the counters here, so they cost nothing on the way.
 *
 *   i32: 0 workers that closed it │ 1 suspected │ 2 path size │ 3 it rests: whoever sends on it says so
 *        4 control frames that wait for the control plane
 *   f64: last heard │ per worker: octets out, octets in, frames out, frames in, carried, of these out
 */
export class LinkShared {
  readonly #words: Int32Array;
  readonly #numbers: Float64Array;
  readonly #base: number;
  readonly #usedAgain: () => void;

  static byteLength(workers: number): number {
    return words * 4 + 8 + workers * perWorker * 8;
  }

  /**
   * `worker`: whose counters this one adds to. `usedAgain`: called when this worker sends the first packet or relayed
   * frame of a link that rests; queue, do not call back.
   */
  constructor(shared: SharedArrayBuffer, worker: number, usedAgain: () => void = () => {}) {
    this.#usedAgain = usedAgain;
    this.#words = new Int32Array(shared, 0, words);
    this.#numbers = new Float64Array(shared, words * 4);
    this.#base = 1 + worker * perWorker;
  }

  /** True in the worker that is the last of `workers` to close it. */
  close(workers: number): boolean {
    return Atomics.add(this.#words, 0, 1) + 1 === workers;
  }

  get suspected(): boolean {
    return this.#words[1] !== 0;
  }

  set suspected(value: boolean) {
    this.#words[1] = value ? 1 : 0;
  }

  /** The largest datagram payload known to pass. */
  get pathSize(): number {
    return this.#words[2] === 0 ? smallestPathSize : this.#words[2]!;
  }

  set pathSize(value: number) {
    this.#words[2] = value;
  }

  get lastHeard(): Millis {
    return this.#numbers[0]!;
  }

  /**
   * `carried`: how many of the frames were packets or relayed frames, and no such as keep the tunnel itself. `now`: left out
   * where they do not say that the other end lives.
   */
  heard(octets: number, frames: number, carried: number, now?: Moment): void {
    if (now) this.#numbers[0] = now.millis;
    this.#numbers[this.#base + 4]! += carried;
    this.#numbers[this.#base + 1]! += octets;
    this.#numbers[this.#base + 3]! += frames;
  }

  /** The same of frames sent. */
  sent(octets: number, frames: number, carried: number): void {
    this.#numbers[this.#base + 4]! += carried;
    this.#numbers[this.#base + 5]! += carried;
    this.#numbers[this.#base]! += octets;
    this.#numbers[this.#base + 2]! += frames;
    if (carried > 0 && this.#words[3] !== 0) this.#endRest();
  }

  /** Nobody sends on it: until `usedAgain` it need not be looked at for that. */
  set rests(value: boolean) {
    Atomics.store(this.#words, 3, value ? 1 : 0);
  }

  /** Two workers that send in the same moment tell it once. */
  #endRest(): void {
    if (Atomics.exchange(this.#words, 3, 0) === 1) this.#usedAgain();
  }

  /** A control frame is to be handed to the control plane; false: too many of this link's wait there. */
  handOver(): boolean {
    if (Atomics.add(this.#words, 4, 1) < mostUnread) return true;
    Atomics.sub(this.#words, 4, 1);
    return false;
  }

  /** The control plane is done with one that was handed over. */
  taken(): void {
    Atomics.sub(this.#words, 4, 1);
  }

  /** Packets and relayed frames sent by all workers: what somebody waits for, unlike probes and control frames. */
  get used(): number {
    let used = 0;
    for (let i = 1; i < this.#numbers.length; i += perWorker) used += this.#numbers[i + 5]!;
    return used;
  }

  counters(): LinkCounters {
    const sum = [0, 0, 0, 0, 0, 0];
    for (let i = 1; i < this.#numbers.length; i++) sum[(i - 1) % perWorker]! += this.#numbers[i]!;
    const [txBytes, rxBytes, txFrames, rxFrames, carried] = sum as [number, number, number, number, number, number];
    return { txBytes, rxBytes, txFrames, rxFrames, carried, lastHeard: this.lastHeard };
  }
}
