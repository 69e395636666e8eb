import type { Micros, Millis } from '../time.js';
import { delaySpec } from './tuning.js';

const wrap = 2 ** 32;

/** Milliseconds of the speaker's clock as RFC 9616 writes them: microseconds modulo 2^32. */
export function stampOf(now: Millis): number {
  const micros = Math.floor(now * 1000) % wrap;
  return micros < 0 ? micros + wrap : micros;
}

/** How far `a` is behind `b` on the ring of stamps; below 0 when it is ahead. */
function behind(a: number, b: number): Micros {
  const difference = (((b - a) % wrap) + wrap) % wrap;
  return difference < wrap / 2 ? difference : difference - wrap;
}

/** The round trip to one LAN neighbour, from the stamps of Hellos and IHUs (RFC 9616 §3). */
export class DelayMeter {
  /** Smoothed round trip; undefined until measured. */
  rtt: Millis | undefined;
  /** The stamp in the neighbour's last Hello, and ours when that came: what our IHU echoes. */
  echo: readonly [number, number] | undefined;
  #measuredAt: Millis = 0;

  /** A Hello's transmit stamp. */
  helloStamped(stamp: number, receivedAt: Millis): void {
    this.echo = [stamp, stampOf(receivedAt)];
  }

  /**
   * An IHU's stamps, from a packet whose Hello was stamped too: `origin` our own stamp come back, `theirs` when they had
   * received it. Stamps from the future, older than three minutes or running backwards give no sample: false.
   */
  ihuStamped(origin: number, theirs: number, receivedAt: Millis): boolean {
    if (!this.echo) return true;
    const away = behind(origin, stampOf(receivedAt));
    const there = behind(theirs, this.echo[0]);
    const limit = delaySpec.validity * 1000;
    if (away < 0 || away > limit || there < 0 || there > limit) return false;
    const sample = Math.max(0, away - there) / 1000;
    const old = this.rtt !== undefined && receivedAt - this.#measuredAt < delaySpec.validity ? this.rtt : undefined;
    this.rtt = old === undefined ? sample : delaySpec.alpha * old + (1 - delaySpec.alpha) * sample;
    this.#measuredAt = receivedAt;
    return true;
  }

  /** What the delay adds to the cost (RFC 9616 §4): nothing below 10 ms, all of it above 120 ms. */
  penalty(now: Millis): number {
    if (this.rtt === undefined || now - this.#measuredAt > delaySpec.validity) return 0;
    const share = (this.rtt - delaySpec.least) / (delaySpec.most - delaySpec.least);
    return Math.round(delaySpec.penalty * Math.min(1, Math.max(0, share)));
  }
}
