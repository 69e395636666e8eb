import { type Millis, never } from '../../time.js';

/** Our tuning: how soon silence is noticed, against how often idle links are woken. */
const busyInterval: Millis = 150;
const fastInterval: Millis = 500;
/**
 * A tunnel nobody sends on: the first packet makes it busy, so what counts is what ten of them cost a sleeping machine.
 */
const idleInterval: Millis = 3000;
/** How rarely one's own delay is measured while the other end's probes prove it alive. */
const idleMeasure: Millis = 10_000;
/** Samples until a delay is known well enough to route by. */
const firstSamples = 8;
/** A sample further off than this, and than four times the jitter, is news. */
const surprise: Millis = 2;
const slowInterval: Millis = 5000;
/** A tunnel at rest is probed so much early when another is: one wake-up serves all of them. */
const together: Millis = 1000;
const doubtInterval: Millis = 60;
const deadInterval: Millis = 1000;
const busyFor: Millis = 3000;
const smallestPatience: Millis = 200;
/** What an answer takes at most while that is not known: more than by a satellite. */
const firstAnswerTime: Millis = 1000;
const suspicionProbes = 3;
const silentAfter: Millis = 2000;
/** A larger gap between two looks at our own clock means that we slept, not that the others did. */
const ownGap: Millis = 200;

export type LivenessNews = 'suspected' | 'recovered' | 'silent';

/**
 * Whether the other end of one tunnel is alive. Traffic is proof of life; probes go out only where it is missing.
 *
 *          heard                        3 probes unanswered             2 s since the first of them
 *   ┌──── alive ◄───────────────┐    ┌──────────► suspected ───────────────────► silent
 *   └──────►                    └────┴── heard ◄──────┘  ◄──── heard ──────────────┘
 */
export class Liveness {
  #pace: 'fast' | 'slow' = 'fast';
  #state: 'alive' | 'suspected' | 'silent' = 'alive';
  #heardAt: Millis;
  #lookedAt: Millis;
  #probedAt: Millis;
  #usedFrames = 0;
  #sentAt = Number.NEGATIVE_INFINITY;
  #firstUnanswered: Millis | undefined;
  #unanswered = 0;
  #sequence = 0;
  /** Of this path. */
  #samples = 0;
  /** Samples that are to come soon, busy or not. */
  #wanted = firstSamples;
  /** A sample of a tunnel at rest that took surprisingly long: a probe sent after that says whether it counts. */
  #doubted: Millis = never;
  #doubtedAt: Millis = 0;
  /** What was measured is of the path before. */
  #isOfBefore = false;
  /** Probes in flight, by sequence modulo their number: when they were sent, or -1 once answered. */
  readonly #inFlight = new Float64Array(16).fill(-1);
  #rtt: Millis | undefined;
  #jitter: Millis = 0;
  #loss = 0;

  readonly #slack: Millis;

  /** `slack`: how much later than due an idle tunnel is probed; another at each end, so that one probe serves both. */
  constructor(now: Millis, slack: Millis = 0) {
    this.#slack = slack;
    this.#heardAt = now;
    this.#lookedAt = now;
    this.#probedAt = now - fastInterval;
  }

  get rtt(): Millis | undefined {
    return this.#rtt;
  }

  /** Whether `rtt`, `jitter` and `loss` are of the path as it is now. */
  get isMeasured(): boolean {
    return this.#rtt !== undefined && !this.#isOfBefore;
  }

  /** What an answer takes at most, as a rule, on the path as it is now. */
  get answerTime(): Millis {
    if (this.#rtt === undefined || this.#isOfBefore) return firstAnswerTime;
    return this.#rtt + 4 * this.#jitter + 50;
  }

  get jitter(): Millis {
    return this.#jitter;
  }

  /** 0 to 1, both directions together. */
  get loss(): number {
    return this.#loss;
  }

  get isBusy(): boolean {
    return this.#lookedAt - this.#sentAt < busyFor;
  }

  /**
   * The path is another: silence on the one before says nothing about it, and its own is news again. Until something is
   * heard the doubt stays. What was measured stays until there is a sample of the new one.
   */
  pathChanged(now: Millis): void {
    if (this.#state === 'silent') this.#state = 'suspected';
    this.#restart(now);
    this.#probedAt = now - fastInterval;
    this.#samples = 0;
    this.#wanted = firstSamples;
    this.#doubted = never;
    this.#isOfBefore = true;
  }

  setPace(pace: 'fast' | 'slow'): void {
    this.#pace = pace;
  }

  /**
   * Looks at the facts. `lastHeard`: when any frame of the link opened; `usedFrames`: how many it sent
   * of those that carry something: probes and control frames of two idle ends must not keep each other awake. Says what
   * changed; `wantsProbe` tells whether a probe is due.
   */
  look(now: Millis, lastHeard: Millis, usedFrames: number): LivenessNews | undefined {
    if (now - this.#lookedAt > this.#interval() + ownGap) this.#restart(now);
    this.#lookedAt = now;
    if (usedFrames > this.#usedFrames) this.#sentAt = now;
    this.#usedFrames = usedFrames;
    if (lastHeard > this.#heardAt) {
      this.#heardAt = lastHeard;
      this.#firstUnanswered = undefined;
      this.#unanswered = 0;
      if (this.#state !== 'alive') {
        this.#state = 'alive';
        // An outage counts as one loss, however much it swallowed: routing was told of it otherwise, and a path that
        // works again would cost ten times as much for minutes.
        this.#inFlight.fill(-1);
        this.#loss += (1 - this.#loss) / 64;
        return 'recovered';
      }
      return undefined;
    }
    if (this.#firstUnanswered === undefined) return undefined;
    const waited = now - this.#firstUnanswered;
    if (this.#state === 'alive' && this.#unanswered >= suspicionProbes && waited >= this.#patience()) {
      this.#state = 'suspected';
      return 'suspected';
    }
    if (this.#state === 'suspected' && waited >= silentAfter) {
      this.#state = 'silent';
      return 'silent';
    }
    return undefined;
  }

  wantsProbe(now: Millis): boolean {
    return now >= this.deadline();
  }

  /** A tunnel at rest that wants a probe soon, and may as well have it now that others are probed. */
  takesProbe(now: Millis): boolean {
    const rests = this.#state === 'alive' && this.#firstUnanswered === undefined && !this.isBusy && this.#isKnown;
    return rests && now + together >= this.deadline();
  }

  /** Notes a probe that goes out now; its sequence number. */
  probeSent(now: Millis): number {
    this.#probedAt = now;
    this.#sequence = (this.#sequence + 1) >>> 0;
    const slot = this.#sequence & 15;
    const lost = this.#inFlight[slot]! >= 0 ? 1 : 0;
    if (this.#state === 'alive') this.#loss += (lost - this.#loss) / 64;
    this.#inFlight[slot] = now;
    this.#firstUnanswered ??= now;
    this.#unanswered++;
    return this.#sequence;
  }

  /** The other end echoed probe `sequence`. */
  answered(sequence: number, now: Millis): void {
    const slot = sequence & 15;
    const sent = this.#inFlight[slot]!;
    if (sent < 0 || (this.#sequence - sequence) >>> 0 > 15) return;
    this.#inFlight[slot] = -1;
    const sample = Math.max(0, now - sent);
    this.#samples++;
    if (this.#rtt === undefined || this.#isOfBefore) {
      this.#rtt = sample;
      this.#jitter = this.#loss = 0;
      this.#isOfBefore = false;
    } else {
      this.#add(sample, this.#rtt, now);
    }
    if (this.#wanted > 0) this.#wanted--;
  }

  #add(sample: Millis, rtt: Millis, now: Millis): void {
    const isDoubted = this.#doubted !== never;
    if (isDoubted && now - sample <= this.#doubtedAt) {
      // It was on its way, and was held up by the same thing.
      this.#doubted = Math.min(this.#doubted, sample);
      return;
    }
    const isNews = Math.abs(sample - rtt) > Math.max(surprise, 4 * this.#jitter);
    if (isNews && sample > rtt && this.#isKnown && !this.isBusy) {
      // A tunnel at rest is asked so rarely that one answer which was held up somewhere would count for minutes.
      this.#doubted = sample;
      this.#doubtedAt = now;
      this.#wanted = firstSamples;
      return;
    }
    if (isNews) this.#wanted = firstSamples;
    const counted = isDoubted ? Math.min(sample, this.#doubted) : sample;
    this.#doubted = never;
    if (counted < rtt && this.#samples <= firstSamples) {
      // No path is shorter than it was seen to be: what the first probes took longer for was the tunnel's own beginning.
      this.#rtt = counted;
      return;
    }
    this.#jitter += (Math.abs(counted - rtt) - this.#jitter) / 16;
    this.#rtt = rtt + (counted - rtt) / 8;
  }

  deadline(): Millis {
    // Whoever moved is alive; what its new path is like is asked at once.
    if (this.#isOfBefore && this.#firstUnanswered === undefined) return this.#probedAt + fastInterval;
    const last = this.#firstUnanswered === undefined ? Math.max(this.#probedAt, this.#measureDue()) : this.#probedAt;
    return last + this.#interval();
  }

  /** Traffic keeps probes away, but not for ever: delay and loss want a sample a second where it is busy. */
  #measureDue(): Millis {
    const quiet = this.isBusy ? 1000 : this.#isKnown ? idleMeasure : this.#interval();
    return Math.min(this.#heardAt, this.#probedAt + quiet);
  }

  #interval(): Millis {
    if (this.#state === 'silent') return deadInterval;
    if (this.#firstUnanswered !== undefined) {
      // The first probe gets the time an answer needs; then doubt asks often.
      return this.#unanswered === 1 ? Math.min(busyInterval, this.#patience() / 2) : doubtInterval;
    }
    if (this.#pace === 'slow' && this.#isKnown) return slowInterval;
    return this.isBusy ? busyInterval : this.#isKnown ? idleInterval + this.#slack : fastInterval;
  }

  get #isKnown(): boolean {
    return this.#wanted === 0;
  }

  #patience(): Millis {
    return this.#rtt === undefined ? 600 : Math.max(smallestPatience, 2 * this.#rtt + 4 * this.#jitter + 50);
  }

  #restart(now: Millis): void {
    this.#firstUnanswered = undefined;
    this.#unanswered = 0;
    this.#heardAt = Math.max(this.#heardAt, now - 1);
    this.#probedAt = Math.min(this.#probedAt, now);
    this.#inFlight.fill(-1);
  }
}
