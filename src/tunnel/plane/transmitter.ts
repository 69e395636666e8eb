import { FrameFlag, FrameType, relayHeaderLength, tagLength, transportHeaderLength } from '../frame.js';
import type { UnderlayAddress } from './adapters.js';
import type { AeadKey } from './aead.js';
import type { Arena } from './arena.js';
import type { PlaneEvent } from './contract.js';
import type { Drops } from './drops.js';
import type { Link, Session } from './link.js';
import type { Moment } from './moment.js';
import type { Outbox } from './outbox.js';
import type { SentHeads } from './sent-heads.js';
import { firstHopLimit, type PlaneState, type Way } from './state.js';

export const frameOverhead = transportHeaderLength + tagLength;
/** Transport header, sealed relay header and tag in front of the end-to-end frame. */
export const relayOverhead = transportHeaderLength + relayHeaderLength + tagLength;

/** Scratch offsets of the arena: a relay header, an end-to-end frame that must be cut. */
const relayAt = 64;
const endToEndAt = 512;

/** Writes the transport header; the counter's upper half is always zero (counters end at 2^28). */
export function writeHeader(
  view: DataView,
  at: number,
  type: number,
  flags: number,
  index: number,
  counter: number,
): void {
  view.setInt32(at, (type << 24) | (flags << 16));
  view.setInt32(at + 4, index);
  view.setInt32(at + 8, 0);
  view.setInt32(at + 12, counter);
}

/** The ends of an end-to-end frame in its relay header: destination and source, u24 each. */
function writeEnds(view: DataView, at: number, destination: number, source: number): void {
  view.setUint16(at, destination >>> 8);
  view.setUint32(at + 2, ((destination & 0xff) << 24) | source);
}

/** Seals frames and puts them into the outbox. */
export class Transmitter {
  readonly #arena: Arena;
  readonly #view: DataView;
  readonly #outbox: Outbox;
  readonly #state: PlaneState;
  readonly #drops: Drops;
  readonly #emit: (event: PlaneEvent) => void;
  readonly #heads: SentHeads;
  /** Of the tunnel's frame that was sealed last. */
  lastKey: AeadKey | undefined;

  constructor(
    arena: Arena,
    outbox: Outbox,
    state: PlaneState,
    drops: Drops,
    emit: (event: PlaneEvent) => void,
    heads: SentHeads,
  ) {
    this.#arena = arena;
    this.#view = arena.view;
    this.#outbox = outbox;
    this.#state = state;
    this.#drops = drops;
    this.#emit = emit;
    this.#heads = heads;
  }

  /** `count` packets of `length` octets come in a row on this way (an order to the outbox, no promise). */
  expect(way: Way, count: number, length: number): void {
    this.#outbox.expect(count, length + frameOverhead + (way.link === way.via ? 0 : relayOverhead));
  }

  /** Seals `length` octets at `text` and sends them on this way; false when they were dropped (and counted). */
  send(way: Way, type: number, flags: number, text: number, length: number): boolean {
    const { link, session, via, viaSession } = way;
    if (!link || !session || !via?.address || !viaSession) return this.#dropped('no-session');
    if (link === via) return this.#sendDirect(link, session, via.address, type, flags, text, length);
    return this.#sendRelayed(way, link, session, via, viaSession, via.address, type, flags, text, length);
  }

  /** One uncut frame on a tunnel, to an address that need not be the tunnel's own (challenges, size probes). */
  sendProbe(link: Link, session: Session, to: UnderlayAddress, text: number, length: number): boolean {
    return this.#sealDirect(link, session, to, FrameType.probe, 0, this.#take(session, 1), text, length);
  }

  /**
   * A handshake-class datagram for a node that is not our neighbour: the end-to-end part of a relayed frame. The octets
   * lie at `text`. False when no tunnel leads there.
   */
  sendHandshake(node: number, text: number, length: number, now: Moment): boolean {
    const via = this.#state.nextHop(node, now, undefined);
    const session = via?.sending(now);
    if (!via?.address || !session) return this.#dropped('unreachable');
    if (relayOverhead + length > via.shared.pathSize) {
      return this.relayCut(via, session, via.address, node, this.#state.node, firstHopLimit, text, length);
    }
    const at = this.#beginRelay(session, via.address, node, 0, length, firstHopLimit);
    if (at < 0) return false;
    this.#arena.bytes.copyWithin(at + relayOverhead, text, text + length);
    this.#outbox.commit(relayOverhead + length, via.shared, 1);
    return true;
  }

  #sendDirect(
    link: Link,
    session: Session,
    to: UnderlayAddress,
    type: number,
    flags: number,
    text: number,
    length: number,
  ): boolean {
    const pathSize = link.shared.pathSize;
    if (length + frameOverhead <= pathSize) {
      return this.#sealDirect(link, session, to, type, flags, this.#take(session, 1), text, length);
    }
    const first = (length + 1) >>> 1;
    if (first + frameOverhead > pathSize) return this.#dropped('too-long');
    const counter = this.#take(session, 2);
    const firstFlags = flags | FrameFlag.firstHalf;
    const secondFlags = flags | FrameFlag.secondHalf;
    return (
      this.#sealDirect(link, session, to, type, firstFlags, counter, text, first) &&
      this.#sealDirect(link, session, to, type, secondFlags, counter + 1, text + first, length - first)
    );
  }

  #sealDirect(
    link: Link,
    session: Session,
    to: UnderlayAddress,
    type: number,
    flags: number,
    counter: number,
    text: number,
    length: number,
  ): boolean {
    if (counter < 0) return this.#dropped('worn-session');
    const frame = length + frameOverhead;
    const at = this.#outbox.begin(to, frame);
    writeHeader(this.#view, at, type, flags, session.sendIndex, counter);
    this.lastKey = session.sendKey;
    session.sendKey.seal(at, counter, text, length, 0, 0);
    this.#outbox.commit(frame, link.shared, type === FrameType.packet ? 1 : 0);
    return true;
  }

  #sendRelayed(
    way: Way,
    link: Link,
    session: Session,
    via: Link,
    viaSession: Session,
    to: UnderlayAddress,
    type: number,
    flags: number,
    text: number,
    length: number,
  ): boolean {
    const inner = length + frameOverhead;
    const counter = this.#take(session, 1);
    if (counter < 0) return this.#dropped('worn-session');
    if (way.keepHead && type === FrameType.packet) {
      this.#heads.keep(session.sendIndex, counter, this.#arena.bytes, text, length);
    }
    if (inner + relayOverhead <= via.shared.pathSize) {
      const at = this.#beginRelay(viaSession, to, link.node, 0, inner, way.hopLimit);
      if (at < 0) return false;
      this.#sealEndToEnd(link, session, type, flags, counter, text, length, at + relayOverhead);
      this.#outbox.commit(relayOverhead + inner, via.shared, 1);
      link.shared.sent(inner, 1, type === FrameType.packet ? 1 : 0);
      return true;
    }
    this.#sealEndToEnd(link, session, type, flags, counter, text, length, endToEndAt);
    link.shared.sent(inner, 1, type === FrameType.packet ? 1 : 0);
    return this.relayCut(via, viaSession, to, link.node, this.#state.node, way.hopLimit, endToEndAt, inner);
  }

  /** Sends an end-to-end frame of ours or another's in two relayed halves; the neighbour joins them. */
  relayCut(
    via: Link,
    session: Session,
    to: UnderlayAddress,
    destination: number,
    source: number,
    hopLimit: number,
    inner: number,
    length: number,
  ): boolean {
    const first = (length + 1) >>> 1;
    if (first + relayOverhead > via.shared.pathSize) return this.#dropped('too-long');
    const counter = this.#take(session, 2);
    if (counter < 0) return this.#dropped('worn-session');
    for (let half = 0; half < 2; half++) {
      const start = half === 0 ? 0 : first;
      const size = half === 0 ? first : length - first;
      const frame = relayOverhead + size;
      const at = this.#outbox.begin(to, frame);
      const flag = half === 0 ? FrameFlag.firstHalf : FrameFlag.secondHalf;
      this.sealRelay(at, session, flag, counter + half, destination, source, hopLimit);
      this.#arena.bytes.copyWithin(at + relayOverhead, inner + start, inner + start + size);
      this.#outbox.commit(frame, via.shared, 1);
    }
    return true;
  }

  #sealEndToEnd(
    link: Link,
    session: Session,
    type: number,
    flags: number,
    counter: number,
    text: number,
    length: number,
    at: number,
  ): void {
    writeHeader(this.#view, at, type, flags, session.sendIndex, counter);
    session.sendKey.seal(at, counter, text, length, link.node, this.#state.node);
  }

  /** Room for a relayed frame with its outer part sealed; the caller fills the rest and commits. -1: worn out. */
  #beginRelay(
    session: Session,
    to: UnderlayAddress,
    destination: number,
    flags: number,
    inner: number,
    hopLimit: number,
  ): number {
    const counter = this.#take(session, 1);
    if (counter < 0) {
      this.#dropped('worn-session');
      return -1;
    }
    const at = this.#outbox.begin(to, relayOverhead + inner);
    this.sealRelay(at, session, flags, counter, destination, this.#state.node, hopLimit);
    return at;
  }

  /** Writes transport header, sealed relay header and tag at `at`, where a relay may find the old ones. */
  sealRelay(
    at: number,
    session: Session,
    flags: number,
    counter: number,
    destination: number,
    source: number,
    hopLimit: number,
  ): void {
    const view = this.#view;
    writeHeader(view, at, FrameType.relay, flags, session.sendIndex, counter);
    writeEnds(view, relayAt, destination, source);
    view.setUint16(relayAt + 6, hopLimit << 8);
    session.sendKey.seal(at, counter, relayAt, relayHeaderLength, 0, 0);
  }

  /** The next counter for a frame that is forwarded where it lies; -1: worn out. */
  takeForRelay(session: Session): number {
    return this.#take(session, 1);
  }

  #take(session: Session, count: number): number {
    const counter = session.take(count);
    if (session.saysWorn(counter)) {
      this.#emit({ kind: 'worn', link: session.link.id, localIndex: session.localIndex });
    }
    return counter;
  }

  #dropped(reason: 'no-session' | 'worn-session' | 'too-long' | 'unreachable'): false {
    this.#drops.count(reason);
    return false;
  }
}
