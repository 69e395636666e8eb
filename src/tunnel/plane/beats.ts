import { type Millis, never } from '../../time.js';
import { Moment } from './moment.js';

/** After so long without being run through, a path grows cold: what a packet then waits for is memory (docs/decisions/134). */
const beatEvery: Millis = 5;
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
  readonly #until = new Moment();

  /** A lone packet of the kernel's, or for it, or for somebody else's, has passed. */
  packet(now: Moment): void {
    const gap = now.millis - this.#packetAt.millis;
    this.#packetAt.millis = now.millis;
    if (gap <= longestGap) this.#until.millis = Math.max(this.#until.millis, now.millis + 2 * gap);
    this.beat(now);
  }

  /** The path was run through. */
  beat(now: Moment): void {
    const next = now.millis + beatEvery;
    this.deadline.millis = next < this.#until.millis ? next : never;
  }
}
