import { type Millis, never } from '../../time.js';
import { Moment } from './moment.js';

/** After so long without being run through, a path grows cold: what a packet then waits for is memory (docs/decisions/134). */
const beatEvery: Millis = 5;
/** After one a beat's own length so many times: where it is slow, it is to cost no more than this part of the time. */
const restsPerBeat = 50;
/** Packets that come less often than this are no conversation: they are not waited for. */
const longestGap: Millis = 250;

/**
 * When the path of packets is to be run through for its own sake, so that the next lone packet finds it warm. A
 * conversation is packets that come one by one, each within a quarter of a second of the one before: it is kept warm for
 * twice its longest gap. One packet alone, or a stream, sets off nothing.
 */
export class Beats {
  /** When the next beat is due; never while nobody talks. */
  readonly deadline = Moment.at(never);
  readonly #packetAt = new Moment();
  /** The rest after the last beat. */
  readonly #notBefore = new Moment();
  readonly #until = new Moment();

  /** A lone packet of the kernel's, or for it, or for somebody else's, has passed. */
  packet(now: Moment): void {
    const gap = now.millis - this.#packetAt.millis;
    this.#packetAt.millis = now.millis;
    if (gap <= longestGap) this.#until.millis = Math.max(this.#until.millis, now.millis + 2 * gap);
    this.#wait(now);
  }

  /** The path was run through, from `began` until now. */
  beat(began: Moment, now: Moment): void {
    this.#notBefore.millis = now.millis + restsPerBeat * (now.millis - began.millis);
    this.#wait(now);
  }

  /** Nobody has talked yet. */
  end(): void {
    this.#packetAt.millis = this.#until.millis = Number.NEGATIVE_INFINITY;
    this.deadline.millis = never;
  }

  #wait(now: Moment): void {
    const next = Math.max(now.millis + beatEvery, this.#notBefore.millis);
    this.deadline.millis = next < this.#until.millis ? next : never;
  }
}
