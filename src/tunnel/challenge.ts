import { equalBytes } from '../bytes.js';
import type { Millis } from '../time.js';

/** What becomes of a newcomer: the one we know is gone; it is there; nobody wants to know any more. */
export interface Outcomes {
  readonly replace: () => void;
  readonly keep: () => void;
  readonly drop: () => void;
}

/** Our tuning. */
const probes = 3;
const probeWait: Millis = 200; // or the measured round trip with room, if that is longer
const longestProbeWait: Millis = 600;

/**
 * A newcomer has come with our peer's key, from another start, and we ask the one we know whether it is still there.
 *
 *     asked ── echo ──► keep            asked ── 3 probes, no echo ──► replace
 */
export class Challenge {
  readonly nonce: Uint8Array;
  #outcomes: Outcomes;
  #probesLeft = probes;
  #dueAt: Millis;

  /** `nonce`: 8 fresh octets, which only who has the keys in use can repeat. The first probe is due at once. */
  constructor(outcomes: Outcomes, nonce: Uint8Array, now: Millis) {
    this.#outcomes = outcomes;
    this.nonce = nonce;
    this.#dueAt = now;
  }

  get outcomes(): Outcomes {
    return this.#outcomes;
  }

  get deadline(): Millis {
    return this.#dueAt;
  }

  /** A newcomer with better proof takes the place of the one waiting. */
  supersede(outcomes: Outcomes): void {
    this.#outcomes.drop();
    this.#outcomes = outcomes;
  }

  isAnsweredBy(nonce: Uint8Array): boolean {
    return equalBytes(this.nonce, nonce);
  }

  /** What is to be done now: send a probe, give the one we know up, or wait. */
  next(roundTrip: Millis, now: Millis): 'probe' | 'replace' | 'wait' {
    if (now < this.#dueAt) return 'wait';
    if (this.#probesLeft === 0) return 'replace';
    this.#probesLeft--;
    this.#dueAt = now + Math.min(longestProbeWait, Math.max(probeWait, 2 * roundTrip));
    return 'probe';
  }
}
