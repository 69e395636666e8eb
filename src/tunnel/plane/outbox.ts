import type { UdpPort, UnderlayAddress } from './adapters.js';
import type { Arena } from './arena.js';
import type { Drops } from './drops.js';

/** UDP_MAX_SEGMENTS of the kernels we run on, and what one IPv4 or IPv6 datagram can hold with room to spare. */
const mostSegments = 64;
const mostOctets = 65_000;

/**
 * Frames on their way out, gathered until they cannot share one send: another destination, a longer frame than the first,
 * a frame behind a shorter one, or no room. So one system call carries up to 64 frames.
 */
export class Outbox {
  readonly #arena: Arena;
  readonly #udp: UdpPort;
  readonly #drops: Drops;
  #to: UnderlayAddress | undefined;
  #segment = 0;
  #used = 0;
  #count = 0;
  #closed = false;

  constructor(arena: Arena, udp: UdpPort, drops: Drops) {
    this.#arena = arena;
    this.#udp = udp;
    this.#drops = drops;
  }

  /** Where to write a frame of this length; `commit` takes it. */
  begin(to: UnderlayAddress, length: number): number {
    if (this.#count > 0) {
      const fits = !this.#closed && this.#to === to && length <= this.#segment && this.#used + length <= mostOctets;
      if (!fits || this.#count === mostSegments) this.flush();
    }
    this.#to = to;
    return this.#arena.outbox + this.#used;
  }

  commit(length: number): void {
    if (this.#count === 0) this.#segment = length;
    else if (length < this.#segment) this.#closed = true;
    this.#count++;
    this.#used += length;
  }

  flush(): void {
    if (this.#count === 0 || this.#to === undefined) return;
    const lost = this.#udp.send(this.#to, this.#arena.outbox, this.#used, this.#segment);
    if (lost > 0) this.#drops.count('send-failed', lost);
    this.#count = 0;
    this.#used = 0;
    this.#closed = false;
  }

  /** Sends frames that lie ready elsewhere in the arena. */
  sendInPlace(to: UnderlayAddress, at: number, length: number, segment: number): void {
    const lost = this.#udp.send(to, at, length, segment);
    if (lost > 0) this.#drops.count('send-failed', lost);
  }
}
