import type { Millis } from '../../time.js';
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
import { AddressWords, PacketShape, Protocol } from './packet.js';
import { noPrefix } from './prefix-trie.js';
import { Staging } from './staging.js';
import { firstHopLimit, type PlaneState, Way } from './state.js';
import type { Transmitter } from './transmitter.js';
import { VirtioGso, VirtioHeader, virtioHeaderLength } from './virtio.js';

/** One turn: enough small packets to fill a send, few enough super-packets to keep acknowledgements waiting briefly. */
const mostPackets = 96;
const mostOctets = 256 * 1024;
const headEvery: Millis = 10;

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
    if (!packet.plain && packet.hasExtension(view)) return this.#drops.count('extension-header');
    const node = this.#state.nodeFor(this.#address);
    if (node === noPrefix || node === ownPrefix) return this.#unreachable(now);
    const way = this.#way;
    if (!this.#state.findWay(node, now, way)) {
      return this.#state.table.hops(node) ? this.#stage(node, length, now) : this.#unreachable(now);
    }
    if (!way.session) return this.#stage(node, length, now);
    if (way.link !== way.via) this.#limitHops(way, now);
    this.#send(way);
  }

  /**
   * A small hop limit of the packet is the frame's too, so that it runs out at the same relay (traceroute). Heads are
   * kept of such packets, and else of one in 10 ms: enough to answer a ping or a first SYN, and nothing in a stream.
   */
  #limitHops(way: Way, now: Millis): void {
    const { hopLimit } = this.#packet;
    way.keepHead = hopLimit < firstHopLimit || now - this.#headKeptAt >= headEvery;
    if (!way.keepHead) return;
    way.hopLimit = Math.min(hopLimit, firstHopLimit);
    this.#headKeptAt = now;
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

  #stage(node: number, length: number, now: Millis): void {
    const from = this.#arena.tunIn;
    const kept = this.#staging.add(node, this.#arena.bytes.subarray(from, from + length), now) === 'kept';
    if (!kept) this.#drops.count('staging-full');
    if (this.#staging.shouldAsk(node, now)) this.#emit({ kind: 'sessionWanted', node });
  }

  #unreachable(now: Millis): void {
    this.#drops.count('unreachable');
    this.#answers.tell(Unreached.noRoute, this.#packet, undefined, now);
  }
}
