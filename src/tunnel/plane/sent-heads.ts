const slots = 64;
/** IPv6 header, a transport header and what identifies the flow; programs match answers by these. */
const headOctets = 128;
const slotWords = 4;

/**
 * The first octets of packets lately sent through relays, so that a relay's notice about a frame of ours can be
 * answered to our kernel with a quotation (RFC 4443 §3.3). Relays cannot quote: they never read what they carry.
 *
 *   words: 0 next slot │ a slot: receiver index, counter, octets kept (0: empty), unused │ octets: 128 a slot
 *
 * One memory for all workers, since the notice may reach another one than the packet left by. They may race: the worst
 * of it is a garbled quotation for our own kernel. A notice must name index and counter, and is believed once.
 */
export class SentHeads {
  static readonly byteLength = 4 * (1 + slots * slotWords) + slots * headOctets;
  readonly #words: Int32Array;
  readonly #octets: Uint8Array;

  constructor(shared: SharedArrayBuffer = new SharedArrayBuffer(SentHeads.byteLength)) {
    this.#words = new Int32Array(shared, 0, 1 + slots * slotWords);
    this.#octets = new Uint8Array(shared, 4 * (1 + slots * slotWords));
  }

  /** Keeps the head of the packet of `length` octets at `at`, which leaves with this receiver index and counter. */
  keep(index: number, counter: number, bytes: Uint8Array, at: number, length: number): void {
    const slot = (Atomics.add(this.#words, 0, 1) >>> 0) % slots;
    const word = 1 + slot * slotWords;
    const kept = Math.min(length, headOctets);
    this.#words[word + 2] = 0;
    this.#words[word] = index;
    this.#words[word + 1] = counter;
    this.#octets.set(bytes.subarray(at, at + kept), slot * headOctets);
    this.#words[word + 2] = kept;
  }

  /** Copies the head of the frame so named to `out` and forgets it; its length, 0 when it is not known. */
  take(index: number, counter: number, bytes: Uint8Array, out: number): number {
    for (let slot = 0; slot < slots; slot++) {
      const word = 1 + slot * slotWords;
      const kept = this.#words[word + 2]!;
      if (kept === 0 || this.#words[word] !== index || this.#words[word + 1] !== counter) continue;
      this.#words[word + 2] = 0;
      bytes.set(this.#octets.subarray(slot * headOctets, slot * headOctets + kept), out);
      return kept;
    }
    return 0;
  }
}
