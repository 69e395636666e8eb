import { type Millis, never, second } from '../time.js';

/** What the plane counts of a link (`LinkCounters`). */
export interface LinkUse {
  readonly txFrames: number;
  /** On the clock of `now`. */
  readonly lastHeard: Millis;
}

/** Our tuning. */
const lookInterval: Millis = second;
const doubtInterval: Millis = second / 2;
const doubts = 3;

/**
 * The plane watches tunnels; this watches end-to-end keys. A peer that was restarted drops our frames without a word. So:
 * something was sent and nothing came back, then a probe; three more looks without an answer, then the keys are lost.
 */
export class KeyWatch {
  #lookAt: Millis = never;
  #seen: LinkUse = { txFrames: 0, lastHeard: 0 };
  #unheardLooks = 0;

  get deadline(): Millis {
    return this.#lookAt;
  }

  /** Does nothing when it runs already. */
  start(): void {
    if (this.#lookAt === never) this.#lookAt = Number.NEGATIVE_INFINITY;
  }

  stop(): void {
    this.#lookAt = never;
  }

  /** Compares with the last look. */
  look(use: LinkUse, now: Millis): 'fine' | 'probe' | 'lost' {
    const isHeard = use.lastHeard > this.#seen.lastHeard;
    const isUnanswered = !isHeard && (use.txFrames > this.#seen.txFrames || this.#unheardLooks > 0);
    this.#seen = use;
    this.#unheardLooks = isUnanswered ? this.#unheardLooks + 1 : 0;
    // On a common beat, so that thousands of associations are looked at in one go.
    const interval = isUnanswered ? doubtInterval : lookInterval;
    this.#lookAt = (Math.floor(now / interval) + 1) * interval;
    if (!isUnanswered) return 'fine';
    if (this.#unheardLooks <= doubts) return 'probe';
    this.#unheardLooks = 0;
    return 'lost';
  }
}
