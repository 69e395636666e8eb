import { guardDropReasons } from './guard.js';

/** Why packets and frames are dropped. The names are a promise: status, metrics and docs/protocol/plane.md use them. */
const dropReasons = [
  'malformed-packet',
  'extension-header',
  'wrong-source',
  'forbidden-destination',
  'not-for-us',
  'unreachable',
  'kept-in-vain',
  'no-session',
  'staging-full',
  'staging-expired',
  'too-long',
  'unknown-index',
  'malformed-frame',
  'not-authentic',
  'replayed',
  'worn-session',
  'expired-session',
  'hop-limit',
  'relay-refused',
  'relay-limit',
  'control-rate',
  ...guardDropReasons,
  'join-expired',
  'send-failed',
  'tun-write-failed',
  'checksum-flag',
] as const;
export type DropReason = (typeof dropReasons)[number];

/** Counts by reason. One worker writes one `Drops`; the main thread reads the same shared octets. */
export class Drops {
  static readonly byteLength = dropReasons.length * 8;
  readonly #counts: Float64Array;

  constructor(shared: SharedArrayBuffer = new SharedArrayBuffer(Drops.byteLength)) {
    this.#counts = new Float64Array(shared);
  }

  count(reason: DropReason, frames = 1): void {
    this.#counts[dropReasons.indexOf(reason)]! += frames;
  }

  /** Adds what was counted here to `sum`; reasons never seen stay absent. */
  addTo(sum: Map<string, number>): void {
    dropReasons.forEach((reason, i) => {
      if (this.#counts[i]! > 0) sum.set(reason, (sum.get(reason) ?? 0) + this.#counts[i]!);
    });
  }
}
