import type { TunPort, UdpPort, UnderlayAddress } from './adapters.js';
import type { Arena } from './arena.js';
import type { Gather } from './gather.js';
import { virtioHeaderLength } from './virtio.js';

/** Packets that wait for one side at most: as a TUN's transmit queue, the rest is lost. */
const queueLength = 1024;

/** A TUN that is two arrays of packets. Octets given and taken are copies. */
export class QueueTun implements TunPort {
  readonly offload: boolean;
  readonly tcpSegmentation: boolean;
  readonly udpSegmentation: boolean;
  readonly #arena: Arena;
  readonly #waiting: Uint8Array[] = [];
  /** What the plane wrote, virtio header first. Emptied by whoever takes it. */
  readonly written: Uint8Array[] = [];

  constructor(arena: Arena, kind: { offload: boolean; tcpSegmentation: boolean; udpSegmentation: boolean }) {
    this.#arena = arena;
    this.offload = kind.offload;
    this.tcpSegmentation = kind.tcpSegmentation;
    this.udpSegmentation = kind.udpSegmentation;
  }

  /** A packet from the kernel, virtio header first. */
  push(packet: Uint8Array): void {
    if (this.#waiting.length < queueLength) this.#waiting.push(new Uint8Array(packet));
  }

  get isEmpty(): boolean {
    return this.#waiting.length === 0;
  }

  read(at: number, room: number): number {
    const packet = this.#waiting.shift();
    if (!packet || packet.length > room) return 0;
    this.#arena.bytes.set(packet, at);
    return packet.length;
  }

  write(pieces: Gather): boolean {
    const whole = new Uint8Array(pieces.total);
    let at = 0;
    for (let i = 0; i < pieces.count; i++) {
      const from = pieces.offsets[i]!;
      whole.set(this.#arena.bytes.subarray(from, from + pieces.lengths[i]!), at);
      at += pieces.lengths[i]!;
    }
    this.written.push(whole);
    return true;
  }
}

/** A packet without offloads, as the queue wants it. */
export function withoutOffload(packet: Uint8Array): Uint8Array {
  const whole = new Uint8Array(virtioHeaderLength + packet.length);
  whole.set(packet, virtioHeaderLength);
  return whole;
}

export interface Datagram {
  readonly address: UnderlayAddress;
  readonly bytes: Uint8Array;
  /** From a source port of its own. */
  readonly fresh: boolean;
}

/** A UDP socket that is two arrays of datagrams. Octets given and taken are copies. */
export class QueueUdp implements UdpPort {
  readonly #arena: Arena;
  readonly #waiting: Datagram[] = [];
  readonly sent: Datagram[] = [];
  segment = 0;
  tooLong = false;
  /** Datagrams of more are refused, as by a kernel whose device takes no more. */
  most = Number.POSITIVE_INFINITY;
  readonly source: UnderlayAddress = new Uint8Array(18);

  constructor(arena: Arena) {
    this.#arena = arena;
  }

  push(address: UnderlayAddress, bytes: Uint8Array): void {
    if (this.#waiting.length < queueLength) this.#waiting.push({ address, bytes: new Uint8Array(bytes), fresh: false });
  }

  get isEmpty(): boolean {
    return this.#waiting.length === 0;
  }

  send(to: UnderlayAddress, at: number, length: number, segment: number): number {
    let lost = 0;
    for (let done = 0; done < length; done += segment) {
      const bytes = this.#arena.bytes.slice(at + done, at + Math.min(length, done + segment));
      if (bytes.length > this.most) lost++;
      else this.sent.push({ address: to, bytes, fresh: false });
    }
    this.tooLong = lost > 0;
    return lost;
  }

  sendCuttable(to: UnderlayAddress, at: number, length: number): boolean {
    this.sent.push({ address: to, bytes: this.#arena.bytes.slice(at, at + length), fresh: false });
    return true;
  }

  sendFresh(to: UnderlayAddress, bytes: Uint8Array): void {
    this.sent.push({ address: to, bytes: new Uint8Array(bytes), fresh: true });
  }

  /** As a kernel with receive offload: datagrams of one sender and one size in a row come as one burst, empty ones alone. */
  receive(at: number, room: number): number {
    let first = this.#waiting.shift();
    while (first && first.bytes.length > room) first = this.#waiting.shift();
    if (!first) return 0;
    if (first.bytes.length === 0) return -1;
    this.#arena.bytes.set(first.bytes, at);
    this.source.set(first.address);
    this.segment = first.bytes.length;
    let length = first.bytes.length;
    for (let next = this.#waiting[0]; next; next = this.#waiting[0]) {
      const joins =
        next.bytes.length > 0 && next.bytes.length <= this.segment && sameAddress(next.address, this.source);
      if (!joins || length + next.bytes.length > room) break;
      this.#waiting.shift();
      this.#arena.bytes.set(next.bytes, at + length);
      length += next.bytes.length;
      if (next.bytes.length < this.segment) break;
    }
    return length;
  }
}

function sameAddress(a: UnderlayAddress, b: UnderlayAddress): boolean {
  for (let i = 0; i < 18; i++) if (a[i] !== b[i]) return false;
  return true;
}
