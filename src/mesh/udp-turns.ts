import { toHex } from '../bytes.js';
import { decodeJoinDatagram } from './join-datagram.js';

/**
 * Which exchanges of a newcomer go over UDP, beside its streams. A member that passes on answers an exchange where it began: where
 * UDP gets out and nothing comes back, the copy by UDP, which is there first, would draw every answer to where none arrives. So
 * while a stream is open and UDP has brought nothing, every second exchange goes over the streams alone.
 */
export class UdpTurns {
  /** By exchange; there are a few in the half minute of a newcomer. */
  readonly #overUdp = new Map<string, boolean>();
  #wasLast = false;
  #hasHeard = false;

  /** UDP has brought something. */
  heard(): void {
    this.#hasHeard = true;
  }

  /** Whether this message goes over UDP too: what an exchange began with, it goes on with. */
  takes(datagram: Uint8Array, isStreamOpen: boolean): boolean {
    const message = decodeJoinDatagram(datagram);
    if (!message) return true;
    const exchange = toHex(message.exchange);
    const known = this.#overUdp.get(exchange);
    if (known !== undefined) return known;
    this.#wasLast = this.#hasHeard || !isStreamOpen || !this.#wasLast;
    this.#overUdp.set(exchange, this.#wasLast);
    return this.#wasLast;
  }
}
