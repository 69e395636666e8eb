import type { UdpPort, UnderlayAddress } from './adapters.js';
import type { Arena } from './arena.js';
import type { Drops } from './drops.js';
import { type LinkShared, smallestPathSize } from './link-shared.js';

/** UDP_MAX_SEGMENTS of the kernels we run on, and what one IPv4 datagram holds: 65,535 less 28 of headers. */
const mostSegments = 64;
const mostOctets = 65_507;

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
  /** Of whose tunnel the frames that wait are: their number, octets, and how many carry something. */
  #shared: LinkShared | undefined;
  #frames = 0;
  #octets = 0;
  #carried = 0;

  constructor(arena: Arena, udp: UdpPort, drops: Drops) {
    this.#arena = arena;
    this.#udp = udp;
    this.#drops = drops;
  }

  /**
   * `count` frames of this length come in a row: sends what waits first where they would not fit beside it and would fit
   * alone. So a super-packet travels in one piece, which is one write for the far kernel too.
   */
  expect(count: number, length: number): void {
    const octets = count * length;
    const fits = this.#count + count <= mostSegments && this.#used + octets <= mostOctets;
    if (!fits && count <= mostSegments && octets <= mostOctets) this.flush();
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

  commit(length: number, shared: LinkShared, carried: 0 | 1): void {
    if (shared !== this.#shared) {
      this.#account();
      this.#shared = shared;
    }
    this.#frames++;
    this.#octets += length;
    this.#carried += carried;
    if (this.#count === 0) this.#segment = length;
    else if (length < this.#segment) this.#closed = true;
    this.#count++;
    this.#used += length;
  }

  flush(): void {
    if (this.#count === 0 || this.#to === undefined) return;
    const lost = this.#udp.send(this.#to, this.#arena.outbox, this.#used, this.#segment);
    if (lost > 0) this.#lost(lost, this.#segment, this.#shared);
    this.#count = 0;
    this.#used = 0;
    this.#closed = false;
    this.#account();
  }

  /** Counts what has left, which need not wait for that. */
  #account(): void {
    if (this.#frames > 0) this.#shared!.sent(this.#octets, this.#frames, this.#carried);
    this.#frames = this.#octets = this.#carried = 0;
  }

  /** Sends frames that lie ready elsewhere in the arena. `shared`: of the tunnel they go by, where they do. */
  sendInPlace(to: UnderlayAddress, at: number, length: number, segment: number, shared?: LinkShared): void {
    const lost = this.#udp.send(to, at, length, segment);
    if (lost > 0) this.#lost(lost, segment, shared);
  }

  #lost(frames: number, segment: number, shared: LinkShared | undefined): void {
    this.#drops.count('send-failed', frames);
    // Longer than what passed until now is only a probe.
    if (this.#udp.tooLong && shared && segment <= shared.pathSize) shared.pathSize = smallestPathSize;
  }
}
