import type { IpBytes } from '../../addr/ip.js';
import { isRouterId } from '../router-id.js';
import { isMapped } from './mapped.js';
import {
  Ae,
  type DropReason,
  dropReasons,
  headerLength,
  helloUnicast,
  magic,
  SubTlv,
  Tlv,
  updatePrefixFlag,
  updateRouterIdFlag,
  version,
} from './tlv.js';

/** What `next` stands on; `end` when the packet is used up. Pad1, PadN and everything ignored are passed over. */
export type TlvKind =
  | 'end'
  | 'ackRequest'
  | 'ack'
  | 'hello'
  | 'ihu'
  | 'routerId'
  | 'nextHop'
  | 'update'
  | 'routeRequest'
  | 'seqnoRequest';

const infinity = 0xffff;
const reasonIndex = Object.fromEntries(dropReasons.map((reason, i) => [reason, i])) as Record<DropReason, number>;

/** Shortest body of each TLV, by type. */
const shortest = [0, 0, 6, 2, 6, 6, 10, 2, 10, 2, 14];

/**
 * A cursor over the TLVs of one packet (RFC 8966 §4). It allocates nothing: fields of the TLV it stands on are numbers
 * and views of its own buffers, good until the next call of `next`; copy what you keep. One reader serves any number of
 * packets, one after the other; the parser state (RFC 8966 §4.5) never crosses packets.
 *
 *     if (reader.open(bytes, from)) for (let kind = reader.next(); kind !== 'end'; kind = reader.next()) ...
 */
export class PacketReader {
  /** How many packets and TLVs were dropped since it was made, in the order of `dropReasons`. */
  readonly drops: Uint32Array = new Uint32Array(dropReasons.length);

  /** The prefix of an Update or a request: 16 octets, host bits clear, IPv4 as ::ffff:0:0/96 and longer. */
  readonly prefix: IpBytes = new Uint8Array(16);
  /** Its length, 0 to 128; IPv4 lengths are 96 more than on the wire. */
  prefixLength = 0;
  /** An Update or Route Request for every prefix (AE 0); `prefix` then means nothing. */
  wildcard = false;
  /** The router-id as big-endian halves, of an Update (0, 0 when a retraction has none) or a Seqno Request. */
  routerIdHigh = 0;
  routerIdLow = 0;
  /** Of an Update: 16 octets, IPv4 mapped; the packet's source unless a Next Hop TLV said otherwise. */
  nextHop: IpBytes = new Uint8Array(16);
  /** Of Hello, Update, Seqno Request. */
  seqno = 0;
  /** Of an Update: 0xffff is a retraction. */
  metric = 0;
  /** Of an IHU. */
  rxcost = 0;
  /** Centiseconds, of Hello (0: unscheduled), IHU, Update, Ack Request. */
  interval = 0;
  /** Of Ack Request and Ack. */
  opaque = 0;
  hopCount = 0;
  /** A Hello counted per neighbour rather than per interface (RFC 8966 §4.6.5, U flag). */
  unicastHello = false;
  /** Of an IHU: 16 octets, and whether it was given; without, it is for whoever receives the packet. */
  readonly address: IpBytes = new Uint8Array(16);
  hasAddress = false;
  /** RFC 9616: Hello: `timestamp` is when it was sent. IHU: `timestamp` is the origin's, `timestamp2` when that came. */
  hasTimestamp = false;
  timestamp = 0;
  timestamp2 = 0;
  /** Of an Update: octets of a signature inside the packet, 0 long when there is none. */
  signatureStart = 0;
  signatureLength = 0;
  /** Of an Update: the node number in the egress sub-TLV, or -1. */
  egress = -1;

  #bytes: Uint8Array = new Uint8Array(0);
  #at = 0;
  #end = 0;

  // Parser state. Default prefixes are per address encoding, `length` octets of them are known.
  readonly #default2 = new Uint8Array(16);
  readonly #default1 = new Uint8Array(4);
  readonly #default4 = new Uint8Array(4);
  #has1 = false;
  #has2 = false;
  #has4 = false;
  #stateHigh = 0;
  #stateLow = 0;
  #hasRouterId = false;
  readonly #nextHop6 = new Uint8Array(16);
  readonly #nextHop4 = new Uint8Array(16);
  #hasNextHop6 = false;
  #hasNextHop4 = false;

  constructor() {
    this.#nextHop4[10] = this.#nextHop4[11] = 0xff;
  }

  /** Starts on a packet; false, and counted, when it is none of ours. `from`: its source, 16 octets, link-local IPv6. */
  open(bytes: Uint8Array, from: IpBytes): boolean {
    this.#at = this.#end = 0;
    if (bytes.length < headerLength || bytes[0] !== magic || bytes[1] !== version) return this.#drop('not-babel');
    const length = (bytes[2]! << 8) | bytes[3]!;
    if (headerLength + length > bytes.length) return this.#drop('body-beyond-datagram');
    this.#bytes = bytes;
    this.#at = headerLength;
    this.#end = headerLength + length; // the trailer beyond holds nothing we speak
    this.#has1 = this.#has2 = this.#has4 = false;
    this.#hasRouterId = false;
    this.#nextHop6.set(from);
    this.#hasNextHop6 = true;
    this.#hasNextHop4 = false;
    return true;
  }

  /** The signature of the Update it stands on, a view into the packet. */
  signature(): Uint8Array {
    return this.#bytes.subarray(this.signatureStart, this.signatureStart + this.signatureLength);
  }

  /** True when the signature is these octets; spares the view. */
  signatureIs(octets: Uint8Array): boolean {
    if (octets.length !== this.signatureLength) return false;
    const start = this.signatureStart;
    for (let i = 0; i < octets.length; i++) if (octets[i] !== this.#bytes[start + i]) return false;
    return true;
  }

  /** Moves to the next TLV worth acting on. */
  next(): TlvKind {
    const bytes = this.#bytes;
    while (this.#at < this.#end) {
      const type = bytes[this.#at]!;
      if (type === Tlv.pad1) {
        this.#at++;
        continue;
      }
      const start = this.#at + 2;
      const end = start + (this.#at + 1 < this.#end ? bytes[this.#at + 1]! : 0);
      if (start > this.#end || end > this.#end) {
        this.#drop('tlv-beyond-body');
        break;
      }
      this.#at = end;
      if (type === Tlv.padN) continue;
      if (type > Tlv.seqnoRequest) {
        this.#drop('unknown-tlv');
        continue;
      }
      const kind = this.#read(type, start, end);
      if (kind !== undefined) return kind;
    }
    this.#at = this.#end;
    return 'end';
  }

  #drop(reason: DropReason): false {
    this.drops[reasonIndex[reason]]!++;
    return false;
  }

  #read(type: number, start: number, end: number): TlvKind | undefined {
    if (end - start < shortest[type]!) {
      if (type === Tlv.routerId) this.#hasRouterId = false;
      if (type === Tlv.nextHop) this.#hasNextHop4 = this.#hasNextHop6 = false;
      if (type === Tlv.update) this.#forget(0xff);
      this.#drop('short-tlv');
      return undefined;
    }
    const bytes = this.#bytes;
    switch (type) {
      case Tlv.ackRequest:
        this.opaque = this.#u16(start + 2);
        this.interval = this.#u16(start + 4);
        if (!this.#subTlvs(type, start + 6, end)) return undefined;
        if (this.interval === 0) this.#drop('zero-interval');
        return this.interval === 0 ? undefined : 'ackRequest';
      case Tlv.ack:
        this.opaque = this.#u16(start);
        return this.#subTlvs(type, start + 2, end) ? 'ack' : undefined;
      case Tlv.hello:
        this.unicastHello = (this.#u16(start) & helloUnicast) !== 0;
        this.seqno = this.#u16(start + 2);
        this.interval = this.#u16(start + 4);
        return this.#subTlvs(type, start + 6, end) ? 'hello' : undefined;
      case Tlv.ihu:
        return this.#readIhu(start, end) ? 'ihu' : undefined;
      case Tlv.routerId:
        this.#stateHigh = this.#u32(start + 2);
        this.#stateLow = this.#u32(start + 6);
        this.#hasRouterId = isRouterId(this.#stateHigh, this.#stateLow);
        if (!this.#hasRouterId) this.#drop('bad-router-id');
        this.#subTlvs(type, start + 10, end); // even an ignored TLV sets parser state (RFC 8966 §4.4)
        return undefined;
      case Tlv.nextHop:
        this.#readNextHop(start, end);
        return undefined;
      case Tlv.update:
        return this.#readUpdate(start, end) ? 'update' : undefined;
      case Tlv.routeRequest: {
        const ae = bytes[start]!;
        this.wildcard = ae === Ae.wildcard;
        if (this.wildcard) {
          if (bytes[start + 1] !== 0) this.#drop('bad-wildcard');
          return bytes[start + 1] === 0 && this.#subTlvs(type, start + 2, end) ? 'routeRequest' : undefined;
        }
        const after = this.#readPrefix(ae, bytes[start + 1]!, 0, start + 2, end);
        return after >= 0 && this.#subTlvs(type, after, end) && !this.#isMapped(ae) ? 'routeRequest' : undefined;
      }
      default: {
        this.wildcard = false;
        this.seqno = this.#u16(start + 2);
        this.hopCount = bytes[start + 4]!;
        this.routerIdHigh = this.#u32(start + 6);
        this.routerIdLow = this.#u32(start + 10);
        if (bytes[start] === Ae.wildcard) return this.#drop('bad-wildcard') || undefined;
        const after = this.#readPrefix(bytes[start]!, bytes[start + 1]!, 0, start + 14, end);
        if (after < 0 || !this.#subTlvs(type, after, end) || this.#isMapped(bytes[start]!)) return undefined;
        if (this.hopCount === 0) return this.#drop('zero-hop-count') || undefined;
        if (!isRouterId(this.routerIdHigh, this.routerIdLow)) return this.#drop('bad-router-id') || undefined;
        return 'seqnoRequest';
      }
    }
  }

  #readIhu(start: number, end: number): boolean {
    const bytes = this.#bytes;
    const ae = bytes[start]!;
    this.rxcost = this.#u16(start + 2);
    this.interval = this.#u16(start + 4);
    this.hasAddress = ae !== Ae.wildcard;
    const length = ae === Ae.wildcard ? 0 : ae === Ae.ipv4 ? 4 : ae === Ae.ipv6 ? 16 : ae === Ae.linkLocal ? 8 : -1;
    if (length < 0) return this.#drop('unknown-encoding');
    const at = start + 6;
    if (at + length > end) return this.#drop('short-tlv');
    if (this.hasAddress) this.#readAddress(this.address, ae, at);
    if (!this.#subTlvs(Tlv.ihu, at + length, end)) return false;
    return this.interval === 0 ? this.#drop('zero-interval') : true;
  }

  #readNextHop(start: number, end: number): void {
    const ae = this.#bytes[start]!;
    const length = ae === Ae.ipv4 ? 4 : ae === Ae.ipv6 ? 16 : ae === Ae.linkLocal ? 8 : -1;
    if (length < 0) {
      this.#drop('unknown-encoding'); // RFC 9229 §3: ignored, so the state stays
      return;
    }
    if (start + 2 + length > end) {
      if (ae === Ae.ipv4) this.#hasNextHop4 = false;
      else this.#hasNextHop6 = false;
      this.#drop('short-tlv');
      return;
    }
    const target = ae === Ae.ipv4 ? this.#nextHop4 : this.#nextHop6;
    this.#readAddress(target, ae, start + 2);
    const usable =
      ae === Ae.ipv4
        ? target[12] !== 0 && target[12] !== 127 && target[12]! < 224
        : target[0] !== 0xff && (target[0] !== 0 || target[1] !== 0);
    if (ae === Ae.ipv4) this.#hasNextHop4 = usable;
    else this.#hasNextHop6 = usable;
    if (!usable) this.#drop('bad-next-hop');
    this.#subTlvs(Tlv.nextHop, start + 2 + length, end);
  }

  #readAddress(target: IpBytes, ae: number, at: number): void {
    const bytes = this.#bytes;
    if (ae === Ae.ipv6) {
      for (let i = 0; i < 16; i++) target[i] = bytes[at + i]!;
      return;
    }
    target.fill(0);
    if (ae === Ae.ipv4) {
      target[10] = target[11] = 0xff;
      for (let i = 0; i < 4; i++) target[12 + i] = bytes[at + i]!;
    } else {
      target[0] = 0xfe;
      target[1] = 0x80;
      for (let i = 0; i < 8; i++) target[8 + i] = bytes[at + i]!;
    }
  }

  /** After a malformed Update: what it would have set is unknown now, so later TLVs must not lean on it. */
  #forget(flags: number, ae?: number): void {
    if (flags & updateRouterIdFlag) this.#hasRouterId = false;
    if (flags & updatePrefixFlag) {
      if (ae === undefined || ae === Ae.ipv4) this.#has1 = false;
      if (ae === undefined || ae === Ae.ipv6) this.#has2 = false;
      if (ae === undefined || ae === Ae.ipv4ViaIpv6) this.#has4 = false;
    }
  }

  #readUpdate(start: number, end: number): boolean {
    const bytes = this.#bytes;
    const ae = bytes[start]!;
    const flags = bytes[start + 1]!;
    const plen = bytes[start + 2]!;
    const omitted = bytes[start + 3]!;
    this.interval = this.#u16(start + 4);
    this.seqno = this.#u16(start + 6);
    this.metric = this.#u16(start + 8);
    this.wildcard = ae === Ae.wildcard;
    if (this.wildcard) {
      if (!this.#subTlvs(Tlv.update, start + 10, end)) return false;
      return plen === 0 && omitted === 0 && this.metric === infinity ? true : this.#drop('bad-wildcard');
    }
    const after = this.#readPrefix(ae, plen, omitted, start + 10, end);
    if (after < 0) {
      this.#forget(flags, ae);
      return false;
    }
    // The parser state moves before sub-TLVs are judged, so that an ignored Update still sets it (RFC 8966 §4.4).
    if (flags & updatePrefixFlag) this.#keepDefault(ae);
    if (flags & updateRouterIdFlag) this.#routerIdFromPrefix(ae);
    if (!this.#subTlvs(Tlv.update, after, end) || this.#isMapped(ae)) return false;
    const via4 = ae === Ae.ipv4;
    const hasNextHop = via4 ? this.#hasNextHop4 : this.#hasNextHop6;
    this.nextHop = via4 ? this.#nextHop4 : this.#nextHop6;
    this.routerIdHigh = this.#hasRouterId ? this.#stateHigh : 0;
    this.routerIdLow = this.#hasRouterId ? this.#stateLow : 0;
    if (this.metric === infinity) return true; // a retraction needs none of what follows (RFC 8966 §4.6.9)
    if (!this.#hasRouterId) return this.#drop('no-router-id');
    if (!hasNextHop) return this.#drop('no-next-hop');
    return this.interval === 0 ? this.#drop('zero-interval') : true;
  }

  /** The offset behind a compressed prefix, or -1, counted. */
  #readPrefix(ae: number, plen: number, omitted: number, at: number, end: number): number {
    const prefix = this.prefix;
    if (ae !== Ae.ipv4 && ae !== Ae.ipv6 && ae !== Ae.ipv4ViaIpv6) {
      this.#drop(ae === Ae.linkLocal ? 'link-local-prefix' : 'unknown-encoding');
      return -1;
    }
    const base = ae === Ae.ipv6 ? 0 : 12;
    const whole = (plen + 7) >> 3;
    if (plen > 128 - 8 * base || omitted > whole) {
      this.#drop('bad-prefix-length');
      return -1;
    }
    const given = whole - omitted;
    if (at + given > end) {
      this.#drop('short-tlv');
      return -1;
    }
    const known = ae === Ae.ipv6 ? this.#has2 : ae === Ae.ipv4 ? this.#has1 : this.#has4;
    if (omitted > 0 && !known) {
      this.#drop('no-default-prefix');
      return -1;
    }
    const source = ae === Ae.ipv6 ? this.#default2 : ae === Ae.ipv4 ? this.#default1 : this.#default4;
    const bytes = this.#bytes;
    let i = 0;
    if (base === 12) for (; i < 12; i++) prefix[i] = i < 10 ? 0 : 0xff;
    for (let k = 0; k < omitted; k++) prefix[i++] = source[k]!;
    for (let k = 0; k < given; k++) prefix[i++] = bytes[at + k]!;
    if ((plen & 7) !== 0) prefix[i - 1]! &= 0xff00 >> (plen & 7);
    while (i < 16) prefix[i++] = 0;
    this.prefixLength = plen + 8 * base;
    return at + given;
  }

  /** An IPv6 prefix inside ::ffff:0:0/96 would pass for an IPv4 one, and is nowhere routed. */
  #isMapped(ae: number): boolean {
    if (ae !== Ae.ipv6 || !isMapped(this.prefix, this.prefixLength)) return false;
    this.#drop('mapped-prefix');
    return true;
  }

  #keepDefault(ae: number): void {
    if (ae === Ae.ipv6) {
      for (let i = 0; i < 16; i++) this.#default2[i] = this.prefix[i]!;
      this.#has2 = true;
      return;
    }
    const target = ae === Ae.ipv4 ? this.#default1 : this.#default4;
    for (let i = 0; i < 4; i++) target[i] = this.prefix[12 + i]!;
    if (ae === Ae.ipv4) this.#has1 = true;
    else this.#has4 = true;
  }

  #routerIdFromPrefix(ae: number): void {
    const p = this.prefix;
    this.#stateHigh = ae === Ae.ipv6 ? ((p[8]! << 24) | (p[9]! << 16) | (p[10]! << 8) | p[11]!) >>> 0 : 0;
    this.#stateLow = ((p[12]! << 24) | (p[13]! << 16) | (p[14]! << 8) | p[15]!) >>> 0;
    this.#hasRouterId = isRouterId(this.#stateHigh, this.#stateLow);
    if (!this.#hasRouterId) this.#drop('bad-router-id');
  }

  /** Reads the sub-TLVs we know; false, counted, when malformed or when one we do not know is mandatory. */
  #subTlvs(type: number, start: number, end: number): boolean {
    this.hasTimestamp = false;
    this.signatureLength = 0;
    this.egress = -1;
    const bytes = this.#bytes;
    let at = start;
    while (at < end) {
      const sub = bytes[at]!;
      if (sub === SubTlv.pad1) {
        at++;
        continue;
      }
      const body = at + 2;
      if (body > end || body + bytes[at + 1]! > end) return this.#drop('bad-sub-tlv');
      const length = bytes[at + 1]!;
      if (sub >= 128) return this.#drop('mandatory-sub-tlv');
      if (sub === SubTlv.timestamp) this.#readTimestamp(type, body, length);
      else if (type === Tlv.update && sub === SubTlv.originSignature) {
        this.signatureStart = body;
        this.signatureLength = length;
      } else if (type === Tlv.update && sub === SubTlv.egress && length >= 3) {
        this.egress = (bytes[body]! << 16) | (bytes[body + 1]! << 8) | bytes[body + 2]!;
        this.signatureStart = body + 3;
        this.signatureLength = length - 3;
      }
      at = body + length;
    }
    return true;
  }

  #readTimestamp(type: number, at: number, length: number): void {
    if (type === Tlv.hello && length >= 4) {
      this.hasTimestamp = true;
      this.timestamp = this.#u32(at);
    } else if (type === Tlv.ihu && length >= 8) {
      this.hasTimestamp = true;
      this.timestamp = this.#u32(at);
      this.timestamp2 = this.#u32(at + 4);
    } else if (type === Tlv.hello || type === Tlv.ihu) this.#drop('short-timestamp');
  }

  #u16(at: number): number {
    return (this.#bytes[at]! << 8) | this.#bytes[at + 1]!;
  }

  #u32(at: number): number {
    const bytes = this.#bytes;
    return ((bytes[at]! << 24) | (bytes[at + 1]! << 16) | (bytes[at + 2]! << 8) | bytes[at + 3]!) >>> 0;
  }
}
