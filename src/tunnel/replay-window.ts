/**
 * Which counters of a lane were seen, over memory that several threads share. A counter is never accepted twice,
 * whichever threads ask: every change is one compare-exchange, so no thread ever waits for another.
 *
 * The newest counter, then a ring of 4096 words; counter c lives in word (c mod 65536) / 16 of those, bit c mod 16:
 *
 *   31                    16 15                     0
 *  +------------------------+------------------------+
 *  |  epoch: counter >> 16  |   seen: one bit each   |
 *  +------------------------+------------------------+
 *
 * A newer epoch takes the word over; an older one is too old. Each word ages by itself, so between 65,521 and 65,536
 * counters back are remembered (as RFC 6479's blocks, without the copying of a shared head). Counters end at 2^28, where
 * the epoch has used 12 of its 16 bits; the all-zero word is epoch 0 with nothing seen.
 *
 * What lies further back than the ring is long is refused by the newest counter, also where no other came to its word since.
 * Threads that race to write that one may leave one a little older: it says what is too old, and not what was seen.
 */
export class ReplayWindow {
  static readonly size = 65_536;
  static readonly words = 1 + ReplayWindow.size / 16;
  static readonly byteLength = ReplayWindow.words * 4;
  readonly #words: Int32Array;

  /** `words`: so many zeroed ones, in a SharedArrayBuffer where several threads open frames of the lane. */
  constructor(words: Int32Array) {
    this.#words = words;
  }

  /** A cheap look before the tag is checked: false when accept would surely refuse. */
  mayAccept(counter: number): boolean {
    if (counter <= this.#words[0]! - ReplayWindow.size) return false;
    const word = this.#words[1 + ((counter & 0xffff) >>> 4)]!;
    const epoch = counter >>> 16;
    const at = word >>> 16;
    return at < epoch || (at === epoch && (word & (1 << (counter & 15))) === 0);
  }

  /** True exactly once for each counter that is inside the window. Call only after the frame opened. */
  accept(counter: number): boolean {
    const newest = this.#words[0]!;
    if (counter > newest) this.#words[0] = counter;
    else if (counter <= newest - ReplayWindow.size) return false;
    const index = 1 + ((counter & 0xffff) >>> 4);
    const bit = 1 << (counter & 15);
    const epoch = counter >>> 16;
    for (;;) {
      const word = Atomics.load(this.#words, index);
      const at = word >>> 16;
      if (at > epoch || (at === epoch && (word & bit) !== 0)) return false;
      const next = at === epoch ? word | bit : (epoch << 16) | bit;
      if (Atomics.compareExchange(this.#words, index, word, next) === word) return true;
    }
  }
}
