import type { Millis } from '../../time.js';
import { FrameFlag, FrameType, innerMtu } from '../frame.js';
import type { TunPort } from './adapters.js';
import type { Arena } from './arena.js';
import { finishSum } from './checksum.js';
import type { PlaneEvent } from './contract.js';
import { Cutter } from './cut.js';
import type { DropReason, Drops } from './drops.js';
import { noPrefix, ownPrefix } from './forwarding-table.js';
import { Gather } from './gather.js';
import { writeUnreachable } from './icmp.js';
import { OctetBucket } from './octet-bucket.js';
import { AddressWords, PacketShape, Protocol } from './packet.js';
import { Staging } from './staging.js';
import { type PlaneState, Way } from './state.js';
import type { Transmitter } from './transmitter.js';
import { VirtioGso, VirtioHeader, virtioHeaderLength, writePlainVirtio } from './virtio.js';

/** One turn: enough small packets to fill a send, few enough super-packets to keep acknowledgements waiting briefly. */
const mostPackets = 96;
const mostOctets = 256 * 1024;

/** Packets of our kernel: where each goes, cut where it is a super-packet, sealed, sent. */
export class Outbound {
  readonly #arena: Arena;
  readonly #tun: TunPort;
  readonly #state: PlaneState;
  readonly #transmitter: Transmitter;
  readonly #drops: Drops;
  readonly #emit: (event: PlaneEvent) => void;
  readonly #virtio = new VirtioHeader();
  readonly #packet = new PacketShape();
  readonly #address = new AddressWords();
  readonly #way = new Way();
  readonly #cutter: Cutter;
  readonly #staging = new Staging();
  readonly #answers: OctetBucket;
  readonly #gather = new Gather();

  constructor(
    arena: Arena,
    tun: TunPort,
    state: PlaneState,
    transmitter: Transmitter,
    drops: Drops,
    emit: (event: PlaneEvent) => void,
    now: Millis,
  ) {
    this.#arena = arena;
    this.#tun = tun;
    this.#state = state;
    this.#transmitter = transmitter;
    this.#drops = drops;
    this.#emit = emit;
    this.#cutter = new Cutter(arena.bytes);
    this.#answers = new OctetBucket(100, 20, now);
  }

  /** Takes packets from the TUN, until none waits or the other direction should have its turn; how many there were. */
  drain(now: Millis): number {
    let packets = 0;
    let octets = 0;
    while (packets < mostPackets && octets < mostOctets) {
      const length = this.#tun.read(this.#arena.tunIn, this.#arena.tunInLength);
      if (length === 0) break;
      packets++;
      octets += length;
      this.#take(length, now);
    }
    return packets;
  }

  /** Whether packets wait for a session, so that `retry` should be called soon. */
  get isWaiting(): boolean {
    return !this.#staging.isEmpty;
  }

  /** Sends what waited and can go now; drops what waited too long. */
  retry(now: Millis): void {
    for (const node of this.#staging.nodes()) {
      if (!this.#state.findWay(node, now, this.#way) || !this.#way.session) continue;
      for (const bytes of this.#staging.take(node)) {
        this.#arena.bytes.set(bytes, this.#arena.tunIn);
        this.#take(bytes.length, now);
      }
    }
    const expired = this.#staging.expire(now);
    if (expired > 0) this.#drops.count('staging-expired', expired);
  }

  /** One packet behind its virtio header at tunIn, `length` octets in all. */
  #take(length: number, now: Millis): void {
    const view = this.#arena.view;
    const at = this.#arena.tunIn + virtioHeaderLength;
    const packet = this.#packet;
    if (length <= virtioHeaderLength) return this.#drops.count('malformed-packet');
    this.#virtio.read(view, this.#arena.tunIn);
    if (!packet.read(view, at, length - virtioHeaderLength)) return this.#drops.count('malformed-packet');
    this.#address.readDestination(view, packet);
    if (this.#address.isForbidden()) return this.#drops.count('forbidden-destination');
    const node = this.#state.nodeFor(this.#address);
    if (node === noPrefix || node === ownPrefix) return this.#unreachable(now);
    const way = this.#way;
    if (!this.#state.findWay(node, now, way)) {
      return this.#state.table.hops(node) ? this.#stage(node, length, now) : this.#unreachable(now);
    }
    if (!way.session) return this.#stage(node, length, now);
    this.#send(way);
  }

  #send(way: Way): void {
    const { gso, needsChecksum, start, offset } = this.#virtio;
    const packet = this.#packet;
    if (gso !== VirtioGso.none) return this.#sendSegments(way);
    if (packet.length > innerMtu) return this.#drops.count('too-long');
    let flags = 0;
    if (needsChecksum) {
      if (packet.plain && start === packet.ipHeader && offset === packet.sumOffset) flags = FrameFlag.checksumOpen;
      else if (start + offset + 2 <= packet.length) {
        finishSum(this.#arena.view, packet.at + start, offset, packet.length - start);
      } else return this.#drops.count('malformed-packet');
    }
    this.#transmitter.send(way, FrameType.packet, flags, packet.at, packet.length);
  }

  /** A super-packet: cut, each segment a frame. What is not plain (extension headers, IP options) gets whole sums. */
  #sendSegments(way: Way): void {
    const { gso, size, start } = this.#virtio;
    const packet = this.#packet;
    const udp = gso === VirtioGso.udp;
    if (!udp && gso !== VirtioGso.tcp4 && gso !== VirtioGso.tcp6) return this.#drops.count('malformed-packet');
    const plain = packet.plain && packet.protocol === (udp ? Protocol.udp : Protocol.tcp);
    const transport = plain ? packet.ipHeader : start;
    if (transport < packet.ipHeader || transport + 8 > packet.length) return this.#drops.count('malformed-packet');
    const cutter = this.#cutter;
    if (!cutter.begin(packet.at, packet.length, transport, udp, size, plain)) {
      return this.#drops.count('malformed-packet');
    }
    const flags = plain ? FrameFlag.checksumOpen : 0;
    while (cutter.next()) {
      if (cutter.length > innerMtu) return this.#drops.count('too-long');
      if (!this.#transmitter.send(way, FrameType.packet, flags, cutter.at, cutter.length)) return;
    }
  }

  #stage(node: number, length: number, now: Millis): void {
    const from = this.#arena.tunIn;
    const kept = this.#staging.add(node, this.#arena.bytes.subarray(from, from + length), now) === 'kept';
    if (!kept) this.#drops.count('staging-full');
    if (this.#staging.shouldAsk(node, now)) this.#emit({ kind: 'sessionWanted', node });
  }

  #unreachable(now: Millis): void {
    this.#answer('unreachable', now);
  }

  #answer(reason: DropReason, now: Millis): void {
    this.#drops.count(reason);
    if (!this.#answers.take(1, now)) return;
    const { bytes, view, join } = this.#arena;
    const length = writeUnreachable(bytes, view, this.#packet, join + 16);
    if (length === 0) return;
    const virtio = join + 16 - virtioHeaderLength;
    writePlainVirtio(view, virtio);
    this.#gather.clear();
    this.#gather.add(virtio, length + virtioHeaderLength);
    this.#tun.write(this.#gather);
  }
}
