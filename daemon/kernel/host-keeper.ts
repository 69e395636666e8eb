import { MeshError } from '../../src/errors.js';
import { type Millis, minute, second } from '../../src/time.js';
import type { HealthItem } from '../api.js';
import type { Host } from './host.js';
import type { Refusal } from './ip.js';
import type { HostPlan } from './plan.js';

/** What was refused for a passing reason (a device that comes and goes) is there again this long after it. */
const firstWait: Millis = second;
/** And no rarer than this, where the reason stays. */
const longestWait: Millis = 30 * second;

/** Events tell of what somebody else takes away, but not of everything: what was changed in its place shows at this pace. */
const lookInterval: Millis = minute;

/** A daemon that starts has learned the prefixes of LANs by then, if they are still there. */
const learningTime: Millis = 10 * second;

/** Does this work after the wait; returns what keeps it from being done. */
export type Later = (wait: Millis, work: () => void) => () => void;

const byTimer: Later = (wait, work) => {
  const timer = setTimeout(work, wait);
  return () => clearTimeout(timer);
};

/** What the keeper tells, for the log. */
export interface HostKeeperListener {
  /** IPv6 was off on this device, and is on now. */
  ipv6Enabled(device: string): void;
  /** Something was refused; of each kind told once until all is as wanted again. */
  refused(problem: MeshError): void;
  /** Somebody set our device down, or up again. */
  deviceSet(isDown: boolean): void;
}

/**
 * Keeps the kernel at a plan that changes.
 *
 *     apply ──► waiting ──one at a time──► applying ──► as planned ──┐
 *                ▲ ▲                          │                      │
 *                │ └─── after a second, then ─┴─────► refused: told, │ in health
 *                │      ever more seldom                             │
 *                └────────────────── after a minute ─────────────────┘
 *
 * LAN prefixes that an earlier daemon left are kept unreachable until the plan has them, for 10 s from the first apply; where none
 * are left, nothing is waited for.
 */
export class HostKeeper {
  readonly #host: Pick<Host, 'apply'>;
  readonly #plan: () => HostPlan;
  readonly #listener: HostKeeperListener;
  #running: Promise<unknown> = Promise.resolve();
  /** A round that has not begun: whoever calls now is served by it. */
  #waiting: Promise<readonly Refusal[]> | undefined;
  readonly #later: Later;
  /** Of the next round that nobody asked for. */
  #cancelNext = () => {};
  #wait = firstWait;
  #refused: MeshError | undefined;
  #deviceIsDown = false;
  #isOver = false;
  #isLearning = true;
  /** Of the end of it; undefined until the first round. */
  #cancelLearning: (() => void) | undefined;

  constructor(host: Pick<Host, 'apply'>, plan: () => HostPlan, listener: HostKeeperListener, later: Later = byTimer) {
    this.#host = host;
    this.#plan = plan;
    this.#listener = listener;
    this.#later = later;
  }

  /**
   * The kernel is as planned but for what this resolves with, or `stop` was called. Throws the MeshError of `Host.apply`. Either
   * is tried again by itself.
   */
  apply(): Promise<readonly Refusal[]> {
    this.#waiting ??= this.#running.then(() => {
      this.#waiting = undefined;
      if (this.#isOver) return [];
      const round = this.#round();
      this.#running = round.catch(() => {});
      return round;
    });
    return this.#waiting;
  }

  /** The same, where nobody waits for it: what is refused is told, and in `health`. */
  follow(): void {
    void this.apply().catch(() => {});
  }

  /** Whether what an earlier daemon left of LAN prefixes is still kept: `keepsLeft` of `Host.apply`. */
  get isLearning(): boolean {
    return this.#isLearning;
  }

  /** What the kernel refused the last time, until it takes it; and whether our device is set down. */
  health(): readonly HealthItem[] {
    const items: HealthItem[] = [];
    if (this.#refused) {
      const { code, message, cure } = this.#refused;
      items.push({ code, severity: 'warning', message, fix: cure });
    }
    if (this.#deviceIsDown) {
      const { device } = this.#plan();
      const message = `${device} was set down: nothing of this machine's enters the overlay`;
      items.push({ code: 'device-down', severity: 'error', message, fix: `ip link set ${device} up` });
    }
    return items;
  }

  /** Begins nothing more. */
  stop(): void {
    this.#isOver = true;
    this.#cancelNext();
    this.#cancelLearning?.();
  }

  async #round(): Promise<readonly Refusal[]> {
    this.#cancelNext();
    this.#cancelLearning ??= this.#later(learningTime, () => {
      this.#endLearning();
      this.follow();
    });
    try {
      const { ipv6Enabled, deviceIsDown, keptLeft, refused } = await this.#host.apply(this.#plan(), this.#isLearning);
      if (!keptLeft) this.#endLearning();
      for (const device of ipv6Enabled) this.#listener.ipv6Enabled(device);
      if (deviceIsDown !== this.#deviceIsDown) this.#listener.deviceSet(deviceIsDown);
      this.#deviceIsDown = deviceIsDown;
      if (refused[0]) this.#complain(refused[0].problem);
      else this.#allTaken();
      return refused;
    } catch (error) {
      const problem = error instanceof MeshError ? error : unexpected(error);
      this.#complain(problem);
      throw problem;
    }
  }

  #endLearning(): void {
    this.#isLearning = false;
    this.#cancelLearning?.();
  }

  #allTaken(): void {
    this.#refused = undefined;
    this.#wait = firstWait;
    if (!this.#isOver) this.#cancelNext = this.#later(lookInterval, () => this.follow());
  }

  #complain(problem: MeshError): void {
    if (this.#refused?.code !== problem.code) this.#listener.refused(problem);
    this.#refused = problem;
    if (!this.#isOver) this.#cancelNext = this.#later(this.#wait, () => this.#tryAgain());
  }

  #tryAgain(): void {
    this.#wait = Math.min(2 * this.#wait, longestWait);
    this.follow();
  }
}

function unexpected(cause: unknown): MeshError {
  return new MeshError('kernel-refused', `the kernel could not be changed: ${cause}`, 'see "weft doctor"', { cause });
}
