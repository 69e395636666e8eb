import { sumIpv4Header } from './checksum.js';

/** Protocol numbers and header facts of RFC 8200, RFC 791, RFC 9293, RFC 768. */
export const Protocol = { tcp: 6, udp: 17, fragment: 44, icmp: 1, icmpv6: 58 } as const;

export const TcpFlag = {
  fin: 0x01,
  syn: 0x02,
  rst: 0x04,
  psh: 0x08,
  ack: 0x10,
  urg: 0x20,
  ece: 0x40,
  cwr: 0x80,
} as const;

/**
 * Hop-by-Hop, Routing, AH, Destination Options, Mobility, HIP, Shim6 and two for experiments: the registry of IPv6 Extension
 * Header Types without Fragment and ESP. Behind AH the others may follow in clear. ESP shows nothing and is for who has
 * its keys: two hosts that speak IPsec through us.
 */
const extensions: ReadonlySet<number> = new Set([0, 43, 51, 60, 135, 139, 140, 253, 254]);

/** Loose and Strict Source Route (RFC 791 §3.1): the routing headers of IPv4 (RFC 7126 §4.3). */
const sourceRoutes: ReadonlySet<number> = new Set([0x83, 0x89]);

/** What the first look at an inner packet says; one object, used again for every packet. */
export class PacketShape {
  /** Arena offset of the IP header. */
  at = 0;
  length = 0;
  /** 4 or 6. */
  version = 0;
  ipHeader = 0;
  /** The protocol behind the IP header. */
  protocol = 0;
  /** Hop limit or TTL. */
  hopLimit = 0;
  /** Arena offset behind the IP header. */
  transport = 0;
  /** TCP or UDP directly behind a fixed IP header, no fragment, header whole: what may travel with its sum open. */
  plain = false;
  /** Length of IP and TCP or UDP header together; meaningful when `plain`. */
  headers = 0;
  /** Where the checksum lies behind `transport`; meaningful when `plain`. */
  sumOffset = 0;

  /**
   * True when this is one whole IP packet whose lengths are honest.
   */
  read(view: DataView, at: number, length: number): boolean {
    this.at = at;
    this.length = length;
    if (length < 20) return false;
    const first = view.getUint8(at);
    this.version = first >>> 4;
    if (this.version === 6) {
      if (length < 40 || view.getUint16(at + 4) + 40 !== length) return false;
      this.ipHeader = 40;
      this.protocol = view.getUint8(at + 6);
      this.hopLimit = view.getUint8(at + 7);
      this.plain = true;
    } else if (this.version === 4) {
      this.ipHeader = (first & 15) << 2;
      if (this.ipHeader < 20 || this.ipHeader > length || view.getUint16(at + 2) !== length) return false;
      this.protocol = view.getUint8(at + 9);
      this.hopLimit = view.getUint8(at + 8);
      this.plain = this.ipHeader === 20 && (view.getUint16(at + 6) & 0x3fff) === 0;
    } else return false;
    this.transport = at + this.ipHeader;
    if (this.plain) this.#readTransport(view, length);
    return true;
  }

  /**
   * The head of a packet whose rest is not at hand, as an answer quotes it; false where not even the IP header is
   * whole.
   */
  readHead(view: DataView, at: number, length: number): boolean {
    this.at = at;
    this.length = length;
    if (length < 20) return false;
    this.version = view.getUint8(at) >>> 4;
    this.ipHeader = this.version === 6 ? 40 : (view.getUint8(at) & 15) << 2;
    this.protocol = view.getUint8(at + (this.version === 6 ? 6 : 9));
    this.transport = at + this.ipHeader;
    return this.ipHeader <= length;
  }

  /** Takes the relays a packet passed off its hop limit, as routers would; the least is 1. */
  lowerHopLimit(view: DataView, by: number): void {
    const hops = Math.max(1, this.hopLimit - by);
    if (this.version === 6) view.setUint8(this.at + 7, hops);
    else {
      view.setUint8(this.at + 8, hops);
      sumIpv4Header(view, this.at, this.ipHeader);
    }
    this.hopLimit = hops;
  }

  /**
   * An IPv6 extension header other than Fragment and ESP, or a source route of IPv4: routing and option headers have hosts and
   * routers do things on a stranger's behalf (RFC 5095), and nothing an app sends needs them. A fragment's own next
   * header counts too.
   */
  hasExtension(view: DataView): boolean {
    if (this.version !== 6) return this.#hasSourceRoute(view);
    if (this.protocol !== Protocol.fragment) return extensions.has(this.protocol);
    return this.length < 48 || extensions.has(view.getUint8(this.transport)) || view.getUint8(this.transport) === 44;
  }

  /** True too where the options cannot be read to their end. */
  #hasSourceRoute(view: DataView): boolean {
    for (let at = this.at + 20; at < this.transport; ) {
      const kind = view.getUint8(at);
      if (kind === 0) return false;
      if (sourceRoutes.has(kind)) return true;
      const length = kind === 1 ? 1 : at + 1 < this.transport ? view.getUint8(at + 1) : 0;
      if (kind !== 1 && length < 2) return true;
      at += length;
      if (at > this.transport) return true;
    }
    return false;
  }

  #readTransport(view: DataView, length: number): void {
    const room = length - this.ipHeader;
    if (this.protocol === Protocol.tcp && room >= 20) {
      const tcpHeader = (view.getUint8(this.transport + 12) >>> 4) << 2;
      this.headers = this.ipHeader + tcpHeader;
      this.sumOffset = 16;
      this.plain = tcpHeader >= 20 && tcpHeader <= room;
    } else if (this.protocol === Protocol.udp && room >= 8) {
      this.headers = this.ipHeader + 8;
      this.sumOffset = 6;
      this.plain = view.getUint16(this.transport + 4) === room;
    } else this.plain = false;
  }
}

/** An address as four 32-bit words, signed; IPv4 as ::ffff:a.b.c.d. One object, used again for every packet. */
export class AddressWords {
  a = 0;
  b = 0;
  c = 0;
  d = 0;

  readSource(view: DataView, packet: PacketShape): void {
    if (packet.version === 6) this.read(view, packet.at + 8);
    else this.#readIpv4(view, packet.at + 12);
  }

  readDestination(view: DataView, packet: PacketShape): void {
    if (packet.version === 6) this.read(view, packet.at + 24);
    else this.#readIpv4(view, packet.at + 16);
  }

  read(view: DataView, at: number): void {
    this.a = view.getInt32(at);
    this.b = view.getInt32(at + 4);
    this.c = view.getInt32(at + 8);
    this.d = view.getInt32(at + 12);
  }

  #readIpv4(view: DataView, at: number): void {
    this.a = 0;
    this.b = 0;
    this.c = 0xffff;
    this.d = view.getInt32(at);
  }

  copy(): AddressWords {
    return Object.assign(new AddressWords(), this);
  }

  equals({ a, b, c, d }: AddressWords): boolean {
    return this.a === a && this.b === b && this.c === c && this.d === d;
  }

  /**
   * Unspecified, loopback, link-local, multicast or broadcast, and IPv4-mapped in a packet of IPv6, which is on no wire (RFC 4291 §2.5.5.2):
   * never carried, in either direction.
   */
  isForbidden(version: number): boolean {
    const { a, b, c, d } = this;
    if (a === 0 && b === 0) {
      if (c === 0xffff) {
        if (version === 6) return true;
        const octet = d >>> 24;
        return octet === 0 || octet === 127 || octet >= 224 || d >>> 16 === 0xa9fe;
      }
      return c === 0 && (d === 0 || d === 1);
    }
    return a >>> 24 === 0xff || ((a >>> 22) << 22) >>> 0 === 0xfe80_0000;
  }
}

/** The leading `bits` of a word, as a mask; shifts in JavaScript are modulo 32, so the ends are explicit. */
export function maskOf(bits: number): number {
  return bits <= 0 ? 0 : bits >= 32 ? -1 : -1 << (32 - bits);
}
