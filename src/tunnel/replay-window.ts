/**
 * Which counters of a lane were seen, over memory that several threads share. A counter is never accepted twice,
 * whichever threads ask: every change is one compare-exchange, so no thread ever waits for another.
 *
 * A ring of 4096 words; counter c lives in word (c mod 65536) / 16, bit c mod 16:
 *
 *   31                    16 15                     0
 *  +------------------------+------------------------+
 *  |  epoch: counter >> 16  |   seen: one bit each   |
 *  +------------------------+------------------------+
 *
 * A newer epoch takes the word over; an older one is too old. Each word ages by itself, so between 65,521 and 65,536
 * counters back are remembered (as RFC 6479's blocks, without the copying of a shared head). Counters end at 2^28, where
 * the epoch has used 12 of its 16 bits; the all-zero word is epoch 0 with nothing seen.
 */
export class ReplayWindow {
  static readonly size = 65_536;
  static readonly words = ReplayWindow.size / 16;
  static readonly byteLength = ReplayWindow.words * 4;
  readonly #words: Int32Array;

  /** `words`: 4096 zeroed words, in a SharedArrayBuffer where several threads open frames of the lane. */
  constructor(words: Int32Array) {
    this.#words = words;
  }

  /** A cheap look before the tag is checked: false when accept would surely refuse. */
  mayAccept(counter: number): boolean {
    const word = this.#words[(counter & 0xffff) >>> 4]!;
    const epoch = counter >>> 16;
    const at = word >>> 16;
    return at < epoch || (at === epoch && (word & (1 << (counter & 15))) === 0);
  }

  /** True exactly once for each counter that is inside the window. Call only after the frame opened. */
  accept(counter: number): boolean {
    const index = (counter & 0xffff) >>> 4;
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
