import type { IpBytes } from '../../addr/ip.js';
import { isMapped } from './mapped.js';
import { Ae, headerLength, helloUnicast, magic, SubTlv, Tlv, updatePrefixFlag, version } from './tlv.js';

/** One Update to write. Reused from call to call; nothing in it is kept. */
export interface UpdateFields {
  /** 16 octets, host bits clear, IPv4 as ::ffff:0:0/96 and longer. */
  prefix: IpBytes;
  prefixLength: number;
  routerIdHigh: number;
  routerIdLow: number;
  seqno: number;
  metric: number;
  /** Centiseconds, 1 to 65535. */
  interval: number;
  /** For IPv4 prefixes: the next hop to name (16 octets, mapped); without, the prefix goes as v4-via-v6 (RFC 9229). */
  nextHop4?: IpBytes | undefined;
  /** Written as the egress sub-TLV when given. */
  egress?: number | undefined;
  /** Inside the egress sub-TLV if there is one, else as an origin signature; at most 200 octets. */
  signature?: Uint8Array | undefined;
}

/** Octets of an Ack Request TLV. */
export const ackRequestLength = 8;

/**
 * Fills one packet with TLVs, compressing prefixes and router-ids (RFC 8966 §4.5). Every method answers false, and writes
 * nothing, when the TLV does not fit; `finish` then gives the packet and starts the next. One writer serves any number of
 * packets.
 */
export class PacketWriter {
  #buffer: Uint8Array = new Uint8Array(0);
  #limit = 0;
  #at = headerLength;
  #routerIdHigh = 0;
  #routerIdLow = 0;
  readonly #default6 = new Uint8Array(16);
  readonly #default4 = new Uint8Array(16);
  readonly #defaultVia = new Uint8Array(16);
  #has6 = false;
  #has4 = false;
  #hasVia = false;
  readonly #nextHop4 = new Uint8Array(16);
  #hasNextHop4 = false;

  /** `limit`: the largest packet, header included; at least 512 (RFC 8966 §4). */
  constructor(limit: number) {
    this.begin(limit);
  }

  /** Another limit, for an empty writer; `reserve` octets are kept free for an Ack Request. */
  begin(limit: number, reserve = 0): void {
    if (limit > this.#buffer.length) {
      this.#buffer = new Uint8Array(limit);
      this.#buffer[0] = magic;
      this.#buffer[1] = version;
    }
    this.#limit = limit - reserve;
  }

  get isEmpty(): boolean {
    return this.#at === headerLength;
  }

  /** Octets still free. */
  get room(): number {
    return this.#limit - this.#at;
  }

  /** The packet, owned by the caller; the writer is empty again. */
  finish(): Uint8Array {
    const length = this.#at - headerLength;
    this.#buffer[2] = length >> 8;
    this.#buffer[3] = length & 0xff;
    const packet = this.#buffer.slice(0, this.#at);
    this.#at = headerLength;
    this.#routerIdHigh = this.#routerIdLow = 0;
    this.#has6 = this.#has4 = this.#hasVia = this.#hasNextHop4 = false;
    return packet;
  }

  /** `timestamp`: microseconds modulo 2^32, or undefined for none (RFC 9616). */
  hello(seqno: number, interval: number, timestamp?: number, unicast = false): boolean {
    const length = timestamp === undefined ? 6 : 12;
    if (!this.#begin(Tlv.hello, length)) return false;
    this.#u16(unicast ? helloUnicast : 0);
    this.#u16(seqno);
    this.#u16(interval);
    if (timestamp !== undefined) {
      this.#u8(SubTlv.timestamp);
      this.#u8(4);
      this.#u32(timestamp);
    }
    return true;
  }

  /** `to`: link-local (sent in 8 octets), or undefined for "you" in unicast. `echo`: origin and receive timestamps. */
  ihu(to: IpBytes | undefined, rxcost: number, interval: number, echo?: readonly [number, number]): boolean {
    const length = 6 + (to ? 8 : 0) + (echo ? 10 : 0);
    if (!this.#begin(Tlv.ihu, length)) return false;
    this.#u8(to ? Ae.linkLocal : Ae.wildcard);
    this.#u8(0);
    this.#u16(rxcost);
    this.#u16(interval);
    if (to) for (let i = 8; i < 16; i++) this.#u8(to[i]!);
    if (echo) {
      this.#u8(SubTlv.timestamp);
      this.#u8(8);
      this.#u32(echo[0]);
      this.#u32(echo[1]);
    }
    return true;
  }

  /** May use what `begin` kept free. */
  ackRequest(opaque: number, interval: number): boolean {
    if (this.#at + ackRequestLength <= this.#buffer.length)
      this.#limit = Math.max(this.#limit, this.#at + ackRequestLength);
    if (!this.#begin(Tlv.ackRequest, 6)) return false;
    this.#u16(0);
    this.#u16(opaque);
    this.#u16(interval);
    return true;
  }

  ack(opaque: number): boolean {
    if (!this.#begin(Tlv.ack, 2)) return false;
    this.#u16(opaque);
    return true;
  }

  /** Retracts everything we ever announced (RFC 8966 §4.6.9, AE 0). */
  wildcardRetraction(): boolean {
    if (!this.#begin(Tlv.update, 10)) return false;
    this.#u32(0);
    this.#u16(0xffff);
    this.#u16(0);
    this.#u16(0xffff);
    return true;
  }

  wildcardRequest(): boolean {
    if (!this.#begin(Tlv.routeRequest, 2)) return false;
    this.#u16(0);
    return true;
  }

  routeRequest(prefix: IpBytes, prefixLength: number): boolean {
    const v4 = isMapped(prefix, prefixLength);
    const plen = v4 ? prefixLength - 96 : prefixLength;
    if (!this.#begin(Tlv.routeRequest, 2 + ((plen + 7) >> 3))) return false;
    this.#u8(v4 ? Ae.ipv4 : Ae.ipv6);
    this.#u8(plen);
    this.#octets(prefix, v4 ? 12 : 0, (plen + 7) >> 3);
    return true;
  }

  seqnoRequest(
    prefix: IpBytes,
    prefixLength: number,
    seqno: number,
    hopCount: number,
    routerIdHigh: number,
    routerIdLow: number,
  ): boolean {
    const v4 = isMapped(prefix, prefixLength);
    const plen = v4 ? prefixLength - 96 : prefixLength;
    if (!this.#begin(Tlv.seqnoRequest, 14 + ((plen + 7) >> 3))) return false;
    this.#u8(v4 ? Ae.ipv4 : Ae.ipv6);
    this.#u8(plen);
    this.#u16(seqno);
    this.#u8(hopCount);
    this.#u8(0);
    this.#u32(routerIdHigh);
    this.#u32(routerIdLow);
    this.#octets(prefix, v4 ? 12 : 0, (plen + 7) >> 3);
    return true;
  }

  /** With the Router-Id and Next Hop TLVs it needs, all or nothing. */
  update(fields: UpdateFields): boolean {
    const v4 = isMapped(fields.prefix, fields.prefixLength);
    const ae = !v4 ? Ae.ipv6 : fields.nextHop4 ? Ae.ipv4 : Ae.ipv4ViaIpv6;
    const base = v4 ? 12 : 0;
    const plen = v4 ? fields.prefixLength - 96 : fields.prefixLength;
    const whole = (plen + 7) >> 3;
    const last = ae === Ae.ipv6 ? this.#default6 : ae === Ae.ipv4 ? this.#default4 : this.#defaultVia;
    const known = ae === Ae.ipv6 ? this.#has6 : ae === Ae.ipv4 ? this.#has4 : this.#hasVia;
    let omitted = 0;
    if (known) while (omitted < whole && last[base + omitted] === fields.prefix[base + omitted]) omitted++;

    const finite = fields.metric < 0xffff;
    // A retraction that is signed shows its router-id too; any other needs none.
    const newRouterId =
      (finite || fields.signature !== undefined) &&
      (fields.routerIdHigh !== this.#routerIdHigh || fields.routerIdLow !== this.#routerIdLow);
    const newNextHop = finite && ae === Ae.ipv4 && !this.#isNextHop(fields.nextHop4!);
    const signed = fields.signature ? fields.signature.length : 0;
    const subLength = fields.egress !== undefined ? 5 + signed : signed > 0 ? 2 + signed : 0;
    const length = 10 + whole - omitted + subLength;
    if (length > 255 || this.room < 2 + length + (newRouterId ? 12 : 0) + (newNextHop ? 8 : 0)) return false;

    if (newRouterId) this.#writeRouterId(fields.routerIdHigh, fields.routerIdLow);
    if (newNextHop) this.#writeNextHop(fields.nextHop4!);
    this.#begin(Tlv.update, length);
    this.#u8(ae);
    this.#u8(updatePrefixFlag);
    this.#u8(plen);
    this.#u8(omitted);
    this.#u16(fields.interval);
    this.#u16(fields.seqno);
    this.#u16(fields.metric);
    this.#octets(fields.prefix, base + omitted, whole - omitted);
    if (fields.egress !== undefined) {
      this.#u8(SubTlv.egress);
      this.#u8(3 + signed);
      this.#u8(fields.egress >> 16);
      this.#u16(fields.egress & 0xffff);
    } else if (signed > 0) {
      this.#u8(SubTlv.originSignature);
      this.#u8(signed);
    }
    if (signed > 0) this.#octets(fields.signature!, 0, signed);
    for (let i = base + omitted; i < 16; i++) last[i] = fields.prefix[i]!;
    if (ae === Ae.ipv6) this.#has6 = true;
    else if (ae === Ae.ipv4) this.#has4 = true;
    else this.#hasVia = true;
    return true;
  }

  #writeRouterId(high: number, low: number): void {
    this.#begin(Tlv.routerId, 10);
    this.#u16(0);
    this.#u32(high);
    this.#u32(low);
    this.#routerIdHigh = high;
    this.#routerIdLow = low;
  }

  #writeNextHop(address: IpBytes): void {
    this.#begin(Tlv.nextHop, 6);
    this.#u8(Ae.ipv4);
    this.#u8(0);
    this.#octets(address, 12, 4);
    this.#nextHop4.set(address);
    this.#hasNextHop4 = true;
  }

  #isNextHop(address: IpBytes): boolean {
    if (!this.#hasNextHop4) return false;
    for (let i = 12; i < 16; i++) if (address[i] !== this.#nextHop4[i]) return false;
    return true;
  }

  #begin(type: number, length: number): boolean {
    if (this.room < 2 + length) return false;
    this.#u8(type);
    this.#u8(length);
    return true;
  }

  #u8(value: number): void {
    this.#buffer[this.#at++] = value;
  }

  #u16(value: number): void {
    this.#u8(value >> 8);
    this.#u8(value & 0xff);
  }

  #u32(value: number): void {
    this.#u16(value >>> 16);
    this.#u16(value & 0xffff);
  }

  #octets(source: Uint8Array, from: number, count: number): void {
    for (let i = 0; i < count; i++) this.#buffer[this.#at++] = source[from + i]!;
  }
}
