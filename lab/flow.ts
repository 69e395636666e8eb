import type { Socket } from 'node:dgram';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Millis } from '../src/time.js';
import { type Host, udpOn } from './machines.js';

const port = 7000;

/**
 * A steady flow of small numbered datagrams from one machine to an address of another: it shows every gap and every
 * loss.
 */
export class Flow {
  readonly #from: Socket;
  readonly #to: Socket;
  readonly #timer: NodeJS.Timeout;
  readonly #arrived = new Set<number>();
  #sent = 0;
  #received = 0;
  #newest = -1;
  #last = Number.NaN;
  #longestGap = 0;

  /** Sends every `interval` milliseconds from now on. */
  constructor(from: Host, to: Host, address: string, interval: Millis = 5) {
    this.#from = udpOn(from, 0, '::');
    this.#to = udpOn(to, port, '::');
    this.#to.on('message', (bytes) => {
      const number = bytes.readUInt32BE(0);
      this.#arrived.add(number);
      this.#newest = Math.max(this.#newest, number);
      const now = performance.now();
      if (this.#received > 0) this.#longestGap = Math.max(this.#longestGap, now - this.#last);
      this.#last = now;
      this.#received++;
    });
    // No route for a moment is a gap like any other.
    this.#from.on('error', () => {});
    this.#timer = setInterval(() => {
      const datagram = Buffer.alloc(8);
      datagram.writeUInt32BE(this.#sent++);
      this.#from.send(datagram, port, address, () => {});
    }, interval);
  }

  get sent(): number {
    return this.#sent;
  }

  get received(): number {
    return this.#received;
  }

  /** The numbers that have not arrived, of the first `count` datagrams; the first is 0. */
  missing(count: number): number[] {
    return Array.from({ length: count }, (_, number) => number).filter((number) => !this.#arrived.has(number));
  }

  /** The longest silence at the receiver since the start or the last call; the silence that lasts counts too. */
  takeLongestGap(): Millis {
    const gap = Math.max(this.#longestGap, performance.now() - this.#last);
    this.#longestGap = 0;
    return gap;
  }

  /** Waits until something arrives that was sent after now; false when nothing does in time. */
  async arrives(within: Millis): Promise<boolean> {
    const next = this.#sent;
    const deadline = performance.now() + within;
    while (this.#newest < next) {
      if (performance.now() > deadline) return false;
      await sleep(1);
    }
    return true;
  }

  stop(): void {
    clearInterval(this.#timer);
    this.#from.close();
    this.#to.close();
  }
}
