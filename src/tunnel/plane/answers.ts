import { Bucket } from '../../bucket.js';
import type { Millis } from '../../time.js';
import type { TunPort } from './adapters.js';
import type { Arena } from './arena.js';
import { Gather } from './gather.js';
import { type Unreached, writeUnreached } from './icmp.js';
import { type PacketShape, Protocol } from './packet.js';
import { virtioHeaderLength, writePlainVirtio } from './virtio.js';

/**
 * One worker's ICMPv6 and ICMP errors for our own kernel, about packets it handed us: 100 a second at most (RFC 4443 §2.4f),
 * and as many for TCP. Linux doubles no wait for a repetition that is answered so (RFC 6069): a call that goes on sending into
 * nothing must not cost every stream that.
 */
export class Answers {
  readonly #arena: Arena;
  readonly #tun: TunPort;
  readonly #bucket = new Bucket(100, 20);
  readonly #tcpBucket = new Bucket(100, 20);
  readonly #gather = new Gather();

  constructor(arena: Arena, tun: TunPort) {
    this.#arena = arena;
    this.#tun = tun;
  }

  /**
   * Says what became of a packet that lies in the arena, though not in its join buffer, where the answer is written.
   * `from`: arena offset of the IPv6 address of the node that could not pass it on; undefined: this one.
   */
  tell(what: Unreached, packet: PacketShape, from: number | undefined, now: Millis): void {
    const bucket = packet.protocol === Protocol.tcp ? this.#tcpBucket : this.#bucket;
    if (!bucket.take(now)) return;
    const { bytes, view, join } = this.#arena;
    const length = writeUnreached(what, bytes, view, packet, from, join + 16);
    if (length === 0) return;
    const virtio = join + 16 - virtioHeaderLength;
    writePlainVirtio(view, virtio);
    this.#gather.clear();
    this.#gather.add(virtio, length + virtioHeaderLength);
    this.#tun.write(this.#gather);
  }
}
