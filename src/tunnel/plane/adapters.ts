import type { Gather } from './gather.js';

/**
 * What a data plane needs of its host. The Linux ones are in linux-*.ts; tests and the simulator bring arrays of packets.
 * Offsets are into the plane's arena. Nothing blocks; nothing throws on what the network does.
 */
export interface TunPort {
  /**
   * The kernel takes open sums and super-packets of these kinds. Without `offload` each packet must be whole and
   * summed.
   */
  readonly offload: boolean;
  readonly tcpSegmentation: boolean;
  readonly udpSegmentation: boolean;
  /** Reads one packet to `at`, a virtio header of 10 octets in front of it always. Its length in all; 0: none waits. */
  read(at: number, room: number): number;
  /** Writes one packet, virtio header first. False when the kernel refused it. */
  write(pieces: Gather): boolean;
}

/** An underlay address in 18 octets: IP (IPv4 as ::ffff:0:0/96), port. Never changed once made: adapters may cache it. */
export type UnderlayAddress = Uint8Array;

export interface UdpPort {
  /**
   * Sends `length` octets at `at` as datagrams of `segment` octets, the last one possibly shorter. Datagrams lost
   * locally.
   */
  send(to: UnderlayAddress, at: number, length: number, segment: number): number;
  /** Sends one datagram that routers may cut on its way, and this machine too. False when it was lost locally. */
  sendCuttable(to: UnderlayAddress, at: number, length: number): boolean;
  /**
   * Receives a burst of equal datagrams (the last possibly shorter) of one sender to `at`; 0: none waits; -1: an empty one
   * was taken, and more may wait.
   */
  receive(at: number, room: number): number;
  /** Of what the last send lost, something was longer than our own device takes: nobody else can have said so. */
  readonly tooLong: boolean;
  /** Of the burst received last. */
  readonly segment: number;
  /** Of the burst received last; overwritten by the next. */
  readonly source: UnderlayAddress;
  /** Sends one datagram from a fresh port (dial-back). */
  sendFresh(to: UnderlayAddress, bytes: Uint8Array): void;
}
