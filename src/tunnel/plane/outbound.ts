import { type Millis, never } from '../../time.js';
import { FrameFlag, FrameType, innerMtu } from '../frame.js';
import type { TunPort } from './adapters.js';
import type { Answers } from './answers.js';
import type { Arena } from './arena.js';
import { finishSum } from './checksum.js';
import type { PlaneEvent } from './contract.js';
import { Cutter } from './cut.js';
import type { Drops } from './drops.js';
import { ownPrefix } from './forwarding-table.js';
import { Unreached } from './icmp.js';
import { LastSegments } from './last-segments.js';
import type { Moment } from './moment.js';
import { AddressWords, PacketShape, Protocol } from './packet.js';
import { noPrefix } from './prefix-trie.js';
import { copySegment, flowOf, segmentKind } from './segment.js';
import { Staging } from './staging.js';
import { firstHopLimit, type PlaneState, Way } from './state.js';
import type { Transmitter } from './transmitter.js';
import { VirtioGso, VirtioHeader, virtioHeaderLength } from './virtio.js';

/** One turn: enough small packets to fill a send, few enough super-packets to keep acknowledgements waiting briefly. */
const mostPackets = 96;
const mostOctets = 256 * 1024;
const headEvery: Millis = 10;
/** A way that is back shows itself mostly by a command or a frame; another worker may have had the frame. */
const keptInterval: Millis = 100;

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
  readonly #last = new LastSegments();
  #lastDueAt: Millis = never;
  readonly #answers: Answers;
  #headKeptAt: Millis = Number.NEGATIVE_INFINITY;

  constructor(
    arena: Arena,
    tun: TunPort,
    state: PlaneState,
    transmitter: Transmitter,
    drops: Drops,
    emit: (event: PlaneEvent) => void,
    answers: Answers,
  ) {
    this.#arena = arena;
    this.#tun = tun;
    this.#state = state;
    this.#transmitter = transmitter;
    this.#drops = drops;
    this.#emit = emit;
    this.#cutter = new Cutter(arena.bytes);
    this.#answers = answers;
  }

  /** Takes up to `most` packets from the TUN, until none waits or the other direction should have its turn; how many there were. */
  drain(now: Moment, most: number = mostPackets): number {
    let packets = 0;
    let octets = 0;
    while (packets < most && octets < mostOctets) {
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

  /** Drops what waited too long, then sends what waited and can go now. */
  retry(now: Moment): void {
    for (const bytes of this.#staging.expire(now.millis)) {
      this.#arena.bytes.set(bytes, this.#arena.tunIn);
      if (!this.#read(bytes.length) || !this.#keep(false, now)) this.#drops.count('staging-expired');
    }
    for (const node of this.#staging.nodes()) {
      if (!this.#state.findWay(node, now, this.#way) || !this.#way.session) continue;
      for (const bytes of this.#staging.take(node)) {
        this.#arena.bytes.set(bytes, this.#arena.tunIn);
        this.#take(bytes.length, now);
      }
    }
    if (!this.#last.isEmpty) this.#handOn(now);
  }

  /** When what is kept of TCP flows is to be looked at again, with `retry`. */
  get keptDeadline(): Millis {
    return this.#last.isEmpty ? never : this.#lastDueAt;
  }

  /** Sends the kept segments that have a way now, as if our kernel had just handed them over. */
  #handOn(now: Moment): void {
    this.#lastDueAt = now.millis + keptInterval;
    this.#gaveUp(this.#last.expire(now.millis));
    for (const bytes of this.#last.take((destination) => this.#hasWay(destination, now))) {
      this.#arena.bytes.set(bytes, this.#arena.tunIn);
      this.#take(bytes.length, now);
    }
  }

  #hasWay(destination: AddressWords, now: Moment): boolean {
    // What is nobody's, or our own, has no next hop.
    if (!this.#state.findWay(this.#state.nodeFor(destination), now, this.#way)) return false;
    return this.#way.session !== undefined && !this.#way.via!.shared.suspected;
  }

  /** One packet behind its virtio header at tunIn, `length` octets in all. */
  #take(length: number, now: Moment): void {
    const view = this.#arena.view;
    const packet = this.#packet;
    if (!this.#read(length)) return this.#drops.count('malformed-packet');
    if (this.#address.isForbidden(packet.version)) return this.#drops.count('forbidden-destination');
    if (!packet.plain && packet.hasExtension(view)) return this.#drops.count('extension-header');
    const node = this.#state.nodeFor(this.#address);
    if (node === noPrefix || node === ownPrefix) return this.#unreachable(now);
    const way = this.#way;
    if (!this.#state.findWay(node, now, way)) {
      return this.#state.table.hops(node) ? this.#stage(node, length, now) : this.#unreachable(now);
    }
    if (!way.session) return this.#stage(node, length, now);
    if (way.link !== way.via) this.#limitHops(way, now);
    if (way.via!.shared.suspected) this.#keep(true, now);
    this.#send(way);
  }

  /** Virtio header, shape and destination of what lies at tunIn; false when it is no packet. */
  #read(length: number): boolean {
    const { view, tunIn } = this.#arena;
    if (length <= virtioHeaderLength) return false;
    this.#virtio.read(view, tunIn);
    if (!this.#packet.read(view, tunIn + virtioHeaderLength, length - virtioHeaderLength)) return false;
    this.#address.readDestination(view, this.#packet);
    return true;
  }

  /**
   * A small hop limit of the packet is the frame's too, so that it runs out at the same relay (traceroute). Heads are
   * kept of such packets, and else of one in 10 ms: enough to answer a ping or a first SYN, and nothing in a stream.
   */
  #limitHops(way: Way, now: Moment): void {
    const { hopLimit } = this.#packet;
    way.keepHead = hopLimit < firstHopLimit || now.millis - this.#headKeptAt >= headEvery;
    if (!way.keepHead) return;
    way.hopLimit = Math.min(hopLimit, firstHopLimit);
    this.#headKeptAt = now.millis;
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
    this.#transmitter.expect(way, cutter.count, cutter.longest);
    while (cutter.next()) {
      if (cutter.length > innerMtu) return this.#drops.count('too-long');
      if (!this.#transmitter.send(way, FrameType.packet, flags, cutter.at, cutter.length)) return;
    }
  }

  #stage(node: number, length: number, now: Moment): void {
    const from = this.#arena.tunIn;
    const kept = this.#staging.add(node, this.#arena.bytes.subarray(from, from + length), now.millis) === 'kept';
    if (!kept && !this.#keep(false, now)) this.#drops.count('staging-full');
    if (this.#staging.shouldAsk(node, now.millis)) this.#emit({ kind: 'sessionWanted', node });
  }

  #unreachable(now: Moment): void {
    if (!this.#keep(false, now)) this.#drops.count('unreachable');
    this.#answers.tell(Unreached.noRoute, this.#packet, undefined, now.millis);
  }

  /** Keeps the packet at tunIn where it is of a TCP connection; whether it did. `sent`: it goes out too, into doubt. */
  #keep(sent: boolean, now: Moment): boolean {
    const { bytes, view } = this.#arena;
    const kind = segmentKind(view, this.#packet);
    if (kind === undefined) return false;
    const flow = flowOf(bytes, this.#packet);
    if (kind === 'edge') {
      this.#gaveUp(this.#last.forget(`${flow} data`) + this.#last.forget(`${flow} bare`));
      return false;
    }
    const copy = copySegment(this.#arena, this.#virtio, this.#packet);
    if (!copy) return false;
    if (this.#last.isEmpty) this.#lastDueAt = now.millis + keptInterval;
    this.#gaveUp(this.#last.keep(`${flow} ${kind}`, this.#address, copy, sent, now.millis));
    return true;
  }

  #gaveUp(segments: number): void {
    if (segments > 0) this.#drops.count('kept-in-vain', segments);
  }
}
