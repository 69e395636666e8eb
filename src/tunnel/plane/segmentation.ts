import { type Millis, minute } from '../../time.js';
import type { UnderlayAddress } from './adapters.js';

/** Our tuning: until a destination that was refused is tried again. Each try costs a system call. */
const refusedFor: Millis = minute;

/**
 * To whom bursts may leave in one call, for our kernel to cut (UDP_SEGMENT). It refuses that for a route through IPsec, and before Linux
 * 6.11 for a device without checksum offload, as a PPP line or the TUN of another VPN: so it is of a destination, and until its route
 * is another.
 */
export class Segmentation {
  static readonly byteLength = 8;
  readonly #isSupported: boolean;
  readonly #clock: () => Millis;
  readonly #until = new WeakMap<UnderlayAddress, Millis>();
  #isRefusedAnywhere = false;
  /** f64: until when the refusal that all workers of a plane met last counts. */
  readonly #shared: Float64Array;

  /** `isSupported`: the sockets take the option. `shared`: one for all workers of a plane and who asks `isRefused`. */
  constructor(isSupported: boolean, clock: () => Millis, shared = new SharedArrayBuffer(Segmentation.byteLength)) {
    this.#isSupported = isSupported;
    this.#clock = clock;
    this.#shared = new Float64Array(shared);
  }

  /** `to`: the object that `refused` was told of, as long as the tunnel's address is that one. */
  serves(to: UnderlayAddress): boolean {
    if (!this.#isSupported) return false;
    const until = this.#isRefusedAnywhere ? this.#until.get(to) : undefined;
    return until === undefined || this.#clock() >= until;
  }

  /** Our kernel would not cut a burst to there. */
  refused(to: UnderlayAddress): void {
    const until = this.#clock() + refusedFor;
    this.#until.set(to, until);
    this.#isRefusedAnywhere = true;
    this.#shared[0] = until;
  }

  /** Some destination was refused within the last minute. */
  get isRefused(): boolean {
    return this.#clock() < this.#shared[0]!;
  }
}
