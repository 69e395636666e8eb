import { nodeAddress, tunnelLinkLocal } from '../../addr/node-number.js';
import { Bucket } from '../../bucket.js';
import { type Millis, never } from '../../time.js';
import {
  FrameFlag,
  FrameType,
  innerMtu,
  NoticeReason,
  noticeLength,
  relayHeaderLength,
  tagLength,
  transportHeaderLength,
} from '../frame.js';
import type { UdpPort, UnderlayAddress } from './adapters.js';
import type { AeadKey } from './aead.js';
import type { Answers } from './answers.js';
import type { Arena } from './arena.js';
import type { Path, PlaneEvent } from './contract.js';
import type { Drops } from './drops.js';
import { ownPrefix } from './forwarding-table.js';
import type { Glue } from './glue.js';
import type { DatagramGuard, DatagramSource } from './guard.js';
import { Unreached } from './icmp.js';
import { Joins } from './joins.js';
import { type Link, lastCounter, type ReceiveLane } from './link.js';
import type { Moment } from './moment.js';
import type { Outbox } from './outbox.js';
import { AddressWords, PacketShape } from './packet.js';
import type { Prober } from './prober.js';
import type { RelayMeter } from './relay-meter.js';
import type { SentHeads } from './sent-heads.js';
import { firstHopLimit, type PlaneState } from './state.js';
import { frameOverhead, relayOverhead, type Transmitter } from './transmitter.js';
import { toEndpoint } from './underlay-address.js';

/** Our tuning: 4000 handshake-class datagrams a second, four times what one core answers, at about 2 % of a core. */
const handshakesAtOnce = 16;
const handshakePause: Millis = 0.25;

/** Scratch offsets of the arena: a notice or the address it came from, and the head of the packet it is about. */
const noticeAt = 2048 + 1536;
const headAt = 2048 + 1600;

const halves = FrameFlag.firstHalf | FrameFlag.secondHalf;

/** Datagrams of the underlay: opened, delivered, passed on, or dropped and counted. Nothing here throws on what comes. */
export class Inbound {
  readonly #arena: Arena;
  readonly #udp: UdpPort;
  readonly #handshakes: UdpPort | undefined;
  /** The one that what is being taken came by. */
  #port: UdpPort;
  /** Until when the socket of handshakes is left alone; `never` when it is not. */
  restEnd: Millis = never;
  readonly #state: PlaneState;
  readonly #glue: Glue;
  readonly #outbox: Outbox;
  readonly #transmitter: Transmitter;
  readonly #prober: Prober;
  readonly #drops: Drops;
  readonly #emit: (event: PlaneEvent) => void;
  readonly #heads: SentHeads;
  readonly #answers: Answers;
  /** Notices that this worker sends about others' frames. */
  readonly #notices = new Bucket(100, 20);
  readonly #packet = new PacketShape();
  readonly #address = new AddressWords();
  readonly #joins: Joins;
  guard: DatagramGuard | undefined;
  readonly #meter: RelayMeter;
  /** Frames that are forwarded where they lie: one send for a run of them. */
  #runTo: Link | undefined;
  #runAddress: UnderlayAddress | undefined;
  #runAt = 0;
  #runLength = 0;
  #segment = 0;
  /** Set where a session is confirmed, so that the plane sends what waited for it. */
  confirmedAny = false;
  /** Packets handed to our kernel since `drain` began. */
  #delivered = 0;
  #carried = false;

  /** Of the tunnel's frame that was opened last. */
  lastKey: AeadKey | undefined;
  /** Of which lane the frames of a burst were, since the last `#noteHeard`: how many, and their newest counter. */
  #notedLane: ReceiveLane | undefined;
  #notedFrames = 0;
  #notedOctets = 0;
  #notedCarried = 0;
  #notedCounter = -1;

  constructor(
    arena: Arena,
    sharesArena: boolean,
    udp: UdpPort,
    handshakes: UdpPort | undefined,
    state: PlaneState,
    glue: Glue,
    outbox: Outbox,
    transmitter: Transmitter,
    prober: Prober,
    drops: Drops,
    emit: (event: PlaneEvent) => void,
    heads: SentHeads,
    answers: Answers,
    meter: RelayMeter,
  ) {
    this.#arena = arena;
    this.#joins = new Joins(arena, sharesArena);
    this.#udp = udp;
    this.#handshakes = handshakes;
    this.#port = udp;
    this.#state = state;
    this.#glue = glue;
    this.#outbox = outbox;
    this.#transmitter = transmitter;
    this.#prober = prober;
    this.#drops = drops;
    this.#emit = emit;
    this.#heads = heads;
    this.#answers = answers;
    this.#meter = meter;
  }

  /** Takes up to `budget` bursts from the socket; how many there were. */
  drain(budget: number, now: Moment): number {
    let bursts = 0;
    this.#port = this.#udp;
    this.#delivered = 0;
    this.#carried = false;
    while (bursts < budget) {
      const length = this.#udp.receive(this.#arena.udpIn, this.#arena.udpInLength);
      if (length === 0) break;
      bursts++;
      if (length > 0) this.#takeBurst(length, now);
      else this.#drops.count('malformed-frame');
    }
    return bursts;
  }

  /** The last `drain` found packets, for our kernel or for others. */
  get carried(): boolean {
    return this.#carried;
  }

  /** The last `drain` found one packet for our kernel and no more. */
  get deliveredOne(): boolean {
    return this.#delivered === 1;
  }

  /**
   * Takes some of what came for handshakes, then rests in proportion: so many a second are looked at however many come,
   * and packets never wait for a flood. The kernel drops what waits too long.
   */
  drainHandshakes(now: Moment): number {
    const port = this.#handshakes;
    if (!port || this.restEnd !== never) return 0;
    this.#port = port;
    let datagrams = 0;
    while (datagrams < handshakesAtOnce) {
      const length = port.receive(this.#arena.udpIn, this.#arena.udpInLength);
      if (length === 0) return datagrams;
      datagrams += length > 0 ? Math.ceil(length / port.segment) : 1;
      if (length > 0) this.#takeBurst(length, now);
      else this.#drops.count('malformed-frame');
    }
    this.restEnd = now.millis + datagrams * handshakePause;
    return datagrams;
  }

  endRest(now: Moment): void {
    if (now.millis >= this.restEnd) this.restEnd = never;
  }

  /** Whether halves wait for their other half, so that `expire` is wanted at `joinDeadline`. */
  get isWaiting(): boolean {
    return !this.#joins.isEmpty;
  }

  get joinDeadline(): Moment {
    return this.#joins.deadline;
  }

  expire(now: Moment): void {
    const expired = this.#joins.expire(now);
    if (expired > 0) this.#drops.count('join-expired', expired);
  }

  #takeBurst(length: number, now: Moment): void {
    const segment = this.#port.segment;
    this.#segment = segment;
    const end = this.#arena.udpIn + length;
    for (let at = this.#arena.udpIn; at < end; at += segment) {
      this.#takeDatagram(at, Math.min(segment, end - at), now);
    }
    this.#glue.flush();
    this.#flushRun();
    this.#noteHeard(now);
  }

  /** What a burst says of its tunnel, told once its packets are on their way. All of it came from one address. */
  #noteHeard(now: Moment): void {
    const lane = this.#notedLane;
    if (!lane) return;
    const { link } = lane.session;
    if (this.#notedCarried > 0) this.#carried = true;
    link.shared.heard(this.#notedOctets, this.#notedFrames, this.#notedCarried, now);
    if (lane.isNewest(this.#notedCounter)) this.#checkSource(link, now);
    this.#notedLane = undefined;
    this.#notedFrames = this.#notedOctets = this.#notedCarried = 0;
    this.#notedCounter = -1;
  }

  #takeDatagram(at: number, length: number, now: Moment): void {
    const type = this.#arena.bytes[at]!;
    if (type < FrameType.packet) return this.#takeHandshake(at, length, undefined, now);
    const sealed = type === FrameType.relay ? relayHeaderLength : length - frameOverhead;
    const lane = this.#open(at, length, sealed, undefined, now);
    if (!lane) return;
    const carries = type === FrameType.packet || type === FrameType.relay;
    if (lane !== this.#notedLane) {
      this.#noteHeard(now);
      this.#notedLane = lane;
    }
    this.#notedFrames++;
    this.#notedOctets += length;
    if (carries) this.#notedCarried++;
    const counter = this.#arena.view.getUint32(at + 12);
    if (counter > this.#notedCounter) this.#notedCounter = counter;
    if (type === FrameType.relay) this.#takeRelayed(lane, at, length, now);
    else this.#takeOpened(lane, at, sealed, firstHopLimit, now);
  }

  /**
   * Opens `sealed` octets behind the header at `at` in place. `source`: of an end-to-end frame, the node its relay header
   * names, which together with our number is part of what is authenticated.
   */
  #open(at: number, length: number, sealed: number, source: number | undefined, now: Moment): ReceiveLane | undefined {
    const view = this.#arena.view;
    if (sealed < 0 || length < transportHeaderLength + sealed + tagLength) return this.#refuse('malformed-frame');
    const type = this.#arena.bytes[at]!;
    if (type > FrameType.probe) return this.#refuse('malformed-frame');
    const lane = this.#state.lanes.get(view.getInt32(at + 4));
    if (!lane) return this.#refuse('unknown-index');
    const counter = view.getUint32(at + 12);
    if (view.getInt32(at + 8) !== 0 || counter >= lastCounter) return this.#refuse('worn-session');
    if (!lane.window.mayAccept(counter)) return this.#refuse('replayed');
    const session = lane.session;
    if (session.isExpired(now)) return this.#refuse('expired-session');
    let authentic: boolean;
    if (source === undefined) {
      this.lastKey = lane.key;
      authentic = lane.key.open(at, sealed, 0, 0);
    } else {
      if (session.link.node !== source) return this.#refuse('wrong-source');
      authentic = lane.key.open(at, sealed, this.#state.node, source);
    }
    if (!authentic) return this.#refuse('not-authentic');
    if (!lane.window.accept(counter)) return this.#refuse('replayed');
    if (session.confirm()) {
      this.confirmedAny = true;
      const { link, localIndex } = session;
      this.#emit({ kind: 'confirmed', link: link.id, localIndex, from: this.#pathFrom(source) });
    }
    return lane;
  }

  /**
   * An opened packet, control or probe frame whose plaintext of `length` octets lies behind the header at `at`.
   * `hopsLeft`: how many relays it might still have passed.
   */
  #takeOpened(lane: ReceiveLane, at: number, length: number, hopsLeft: number, now: Moment): void {
    const { bytes } = this.#arena;
    const type = bytes[at]!;
    const flags = bytes[at + 1]!;
    const text = at + transportHeaderLength;
    const link = lane.session.link;
    if ((flags & halves) !== 0) return this.#takeHalf(lane, at, text, length, now);
    if (type === FrameType.packet) this.#deliver(link, text, length, flags, hopsLeft);
    else if (type === FrameType.control) {
      if (length === 0) return;
      // Frames are opened much faster than the control plane takes them: what lies between is our memory.
      if (!link.shared.handOver()) return this.#drops.count('control-rate');
      this.#emit({ kind: 'control', link: link.id, bytes: bytes.slice(text, text + length), receivedAt: now.millis });
    } else if (type === FrameType.probe) this.#prober.received(link, text, length, this.#port.source, now);
    else this.#drops.count('malformed-frame');
  }

  /** Joins two halves; what comes out is taken like a frame that was never cut. */
  #takeHalf(lane: ReceiveLane, at: number, text: number, length: number, now: Moment): void {
    const { bytes, view, join } = this.#arena;
    const flags = bytes[at + 1]!;
    const type = bytes[at]!;
    const second = (flags & FrameFlag.secondHalf) !== 0;
    if ((flags & halves) === halves) return this.#drops.count('malformed-frame');
    const counter = view.getUint32(at + 12) - (second ? 1 : 0);
    if (length > this.#arena.halfLength) return this.#drops.count('malformed-frame');
    if (!this.#joins.add(lane.session.link.id, lane.index, counter, second, text, length, now)) return;
    const { otherAt, otherLength } = this.#joins;
    const headers = transportHeaderLength + (type === FrameType.relay ? relayHeaderLength + tagLength : 0);
    if (headers + otherLength + length + tagLength > this.#arena.joinLength) {
      return this.#drops.count('malformed-frame');
    }
    bytes.copyWithin(join, at, at + headers);
    bytes[join + 1] = flags & ~halves;
    const first = join + headers;
    if (second) {
      bytes.copyWithin(first, otherAt, otherAt + otherLength);
      bytes.copyWithin(first + otherLength, text, text + length);
    } else {
      bytes.copyWithin(first, text, text + length);
      bytes.copyWithin(first + length, otherAt, otherAt + otherLength);
    }
    const whole = otherLength + length;
    if (type === FrameType.relay) this.#takeRelayed(lane, join, headers + whole, now);
    else this.#takeOpened(lane, join, whole, firstHopLimit, now);
    // The join buffer is used again by the next pair, so nothing of it may wait.
    this.#glue.flush();
    this.#flushRun();
  }

  /** A relayed frame at `at` whose relay header is open: for us, or for a node behind us. */
  #takeRelayed(lane: ReceiveLane, at: number, length: number, now: Moment): void {
    const { bytes, view } = this.#arena;
    if (lane.session.link.isToNobody) return this.#drops.count('wrong-source');
    const header = at + transportHeaderLength;
    const inner = at + relayOverhead;
    const innerLength = length - relayOverhead;
    if (innerLength <= 0) return this.#drops.count('malformed-frame');
    if ((bytes[at + 1]! & halves) !== 0) return this.#takeHalf(lane, at, inner, innerLength, now);
    const destination = (view.getUint16(header) << 8) | bytes[header + 2]!;
    const source = (bytes[header + 3]! << 16) | view.getUint16(header + 4);
    const hopLimit = bytes[header + 6]!;
    if (destination !== this.#state.node) {
      return this.#passOn(lane.session.link, at, length, destination, source, hopLimit, now);
    }
    if (bytes[inner] === FrameType.notice) return this.#takeNotice(inner, innerLength, source, now);
    if (bytes[inner]! < FrameType.packet) return this.#takeHandshake(inner, innerLength, source, now);
    // Only neighbours cut. One of these in the join buffer would besides be joined onto itself.
    if (bytes[inner] === FrameType.relay || (bytes[inner + 1]! & halves) !== 0) {
      return this.#drops.count('malformed-frame');
    }
    const sealed = innerLength - frameOverhead;
    const end = this.#open(inner, innerLength, sealed, source, now);
    if (!end) return;
    // What came through relays says nothing about the direct path, which must still be found silent.
    const { address, shared } = end.session.link;
    shared.heard(innerLength, 1, 0, address ? undefined : now);
    this.#takeOpened(end, inner, sealed, hopLimit, now);
  }

  /** Relaying: eight octets were opened, eight are sealed again where they lie; the rest is not looked at. */
  #passOn(
    from: Link,
    at: number,
    length: number,
    destination: number,
    source: number,
    hopLimit: number,
    now: Moment,
  ): void {
    const inner = at + relayOverhead;
    if (this.#state.relay === 'no') {
      this.#drops.count('relay-refused');
      return this.#notify(NoticeReason.noRoute, source, inner, length - relayOverhead, now);
    }
    if (hopLimit <= 1) {
      this.#drops.count('hop-limit');
      return this.#notify(NoticeReason.hopLimit, source, inner, length - relayOverhead, now);
    }
    const via = this.#state.nextHop(destination, now, from);
    const session = via?.sending(now);
    if (!via?.address || !session) {
      this.#drops.count('unreachable');
      return this.#notify(NoticeReason.noRoute, source, inner, length - relayOverhead, now);
    }
    if (!this.#meter.take(length, now)) return this.#drops.count('relay-limit');
    const hop = hopLimit - 1;
    if (length > via.shared.pathSize) {
      this.#flushRun();
      this.#transmitter.relayCut(via, session, via.address, destination, source, hop, inner, length - relayOverhead);
      return;
    }
    const counter = this.#transmitter.takeForRelay(session);
    if (counter < 0) return this.#drops.count('worn-session');
    this.#transmitter.sealRelay(at, session, 0, counter, destination, source, hop);
    via.shared.sent(length, 1, 1);
    this.#extendRun(via, via.address, at, length);
  }

  /** Tells a packet's source that its frame at `inner` ends here. About packets only, so never about notices. */
  #notify(reason: number, source: number, inner: number, length: number, now: Moment): void {
    const { bytes, view, scratch } = this.#arena;
    if (length < frameOverhead || bytes[inner] !== FrameType.packet || !this.#notices.take(now.millis)) return;
    const at = scratch + noticeAt;
    bytes.copyWithin(at, inner, inner + noticeLength);
    view.setUint32(at, (FrameType.notice << 24) | (reason << 16));
    this.#transmitter.sendHandshake(source, at, noticeLength, now);
  }

  /** A relay, `node` by its own account and its neighbour's, could not pass on a frame of ours. */
  #takeNotice(at: number, length: number, node: number, now: Moment): void {
    const { bytes, view, scratch } = this.#arena;
    if (length !== noticeLength || !this.#state.network) return this.#drops.count('malformed-frame');
    const reason = bytes[at + 1]!;
    const head = scratch + headAt;
    const kept = this.#heads.take(view.getInt32(at + 4), view.getInt32(at + 12), bytes, head);
    if (!this.#packet.readHead(view, head, kept)) return this.#drops.count('unknown-index');
    const from = scratch + noticeAt;
    bytes.set(nodeAddress(this.#state.network, node), from);
    const what = reason === NoticeReason.hopLimit ? Unreached.hopLimit : Unreached.noRoute;
    this.#answers.tell(what, this.#packet, from, now.millis);
  }

  #extendRun(via: Link, address: UnderlayAddress, at: number, length: number): void {
    const continues = this.#runTo === via && at === this.#runAt + this.#runLength;
    if (!continues || this.#runLength % this.#segment !== 0) {
      this.#flushRun();
      this.#runTo = via;
      this.#runAddress = address;
      this.#runAt = at;
    }
    this.#runLength += length;
  }

  /** Sends what may be passed on where it lies, behind what had to be cut before it came: a flow stays in order. */
  #flushRun(): void {
    if (this.#runAddress && this.#runLength > 0) {
      this.#outbox.flush();
      const segment = Math.min(this.#segment, this.#runLength);
      const inJoin = this.#runAt >= this.#arena.join;
      const each = inJoin ? this.#runLength : segment;
      this.#outbox.sendInPlace(this.#runAddress, this.#runAt, this.#runLength, each, this.#runTo?.shared);
    }
    this.#runTo = undefined;
    this.#runAddress = undefined;
    this.#runLength = 0;
  }

  /** A packet that this link's node sealed for us. */
  #deliver(link: Link, at: number, length: number, flags: number, hopsLeft: number): void {
    const view = this.#arena.view;
    const packet = this.#packet;
    if (link.isToNobody) return this.#drops.count('wrong-source');
    if (length > innerMtu) return this.#drops.count('too-long');
    if (!packet.read(view, at, length)) return this.#drops.count('malformed-packet');
    if (!packet.plain && packet.hasExtension(view)) return this.#drops.count('extension-header');
    const open = (flags & FrameFlag.checksumOpen) !== 0;
    if (open && !packet.plain) return this.#drops.count('checksum-flag');
    const address = this.#address;
    address.readSource(view, packet);
    if (address.isForbidden(packet.version)) return this.#drops.count('wrong-source');
    // A LAN may have several gateways: packets may come by another than the one our own would go to.
    if (this.#state.nodeFor(address) !== link.node && (this.#state.isOverlay(address) || !link.mayCarry(address))) {
      return this.#drops.count('wrong-source');
    }
    address.readDestination(view, packet);
    if (address.isForbidden(packet.version)) return this.#drops.count('forbidden-destination');
    if (this.#state.nodeFor(address) !== ownPrefix) return this.#drops.count('not-for-us');
    // Relays count as routers. What they say of the hop limit is theirs; it can only end a packet, which they could
    // anyway.
    const passed = Math.min(packet.hopLimit, firstHopLimit) - hopsLeft;
    if (passed > 0) packet.lowerHopLimit(view, passed);
    this.#glue.add(packet, open);
    this.#delivered++;
  }

  /** A handshake-class datagram, straight from the underlay or as the end-to-end part of a relayed frame from `node`. */
  #takeHandshake(at: number, length: number, node: number | undefined, now: Moment): void {
    const octets = this.#arena.bytes.subarray(at, at + length);
    const verdict = this.guard?.admit(octets, this.#sourceFor(node), now.millis) ?? 'pass';
    if (typeof verdict !== 'string') return this.#reply(node, verdict, now);
    if (verdict !== 'pass') return this.#drops.count(verdict);
    this.#emit({ kind: 'datagram', from: this.#pathFrom(node), bytes: new Uint8Array(octets) });
  }

  /** Where what is being taken came from; `node`: of what a relay brought, its sender. */
  #pathFrom(node: number | undefined): Path {
    return node === undefined ? { kind: 'direct', endpoint: toEndpoint(this.#port.source) } : { kind: 'overlay', node };
  }

  #sourceFor(node: number | undefined): DatagramSource {
    if (node !== undefined) return { address: tunnelLinkLocal(node), port: 0 };
    const source = this.#port.source;
    return { address: source.subarray(0, 16), port: (source[16]! << 8) | source[17]! };
  }

  #reply(node: number | undefined, bytes: Uint8Array, now: Moment): void {
    const at = this.#arena.scratch + 2048;
    if (bytes.length > 1500) return;
    this.#arena.bytes.set(bytes, at);
    if (node !== undefined) this.#transmitter.sendHandshake(node, at, bytes.length, now);
    else this.#outbox.sendInPlace(new Uint8Array(this.#port.source), at, bytes.length, bytes.length);
  }

  #checkSource(link: Link, now: Moment): void {
    const address = link.address;
    if (!address) return;
    const source = this.#port.source;
    for (let i = 10; i < 18; i++) if (address[i] !== source[i]) return this.#prober.heardElsewhere(link, source, now);
    for (let i = 0; i < 10; i++) if (address[i] !== source[i]) return this.#prober.heardElsewhere(link, source, now);
  }

  #refuse(
    reason:
      | 'malformed-frame'
      | 'unknown-index'
      | 'worn-session'
      | 'replayed'
      | 'expired-session'
      | 'wrong-source'
      | 'not-authentic',
  ): undefined {
    this.#drops.count(reason);
    return undefined;
  }
}
