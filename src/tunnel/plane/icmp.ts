import { finishSum, foldSum, pseudoSum, sumIpv4Header, sumOctets } from './checksum.js';
import { type PacketShape, Protocol } from './packet.js';

/** IPv6 packets in answers never exceed its least MTU (RFC 4443 §2.4c). */
const longestAnswer = 1280;

/** RFC 7600's dummy address, 192.0.0.8: answers from nodes that have no IPv4 address come from it (RFC 9229 §4.3). */
const dummyIpv4 = 0xc000_0008;

/** What became of a packet: type and code of ICMPv6 (RFC 4443 §3) and of ICMP (RFC 792). */
export const Unreached = {
  noRoute: { icmpv6: 0x0100, icmp: 0x0300 },
  hopLimit: { icmpv6: 0x0300, icmp: 0x0b00 },
} as const;
export type Unreached = (typeof Unreached)[keyof typeof Unreached];

/**
 * Writes at `out` the answer to a packet from our own kernel (of which no more than the head may be there) and returns
 * its length; 0 where none may be sent (RFC 4443 §2.4e: errors, multicast). `from`: where in the arena the answering
 * node's IPv6 address lies; without it the answer comes from the packet's own destination, the one address that surely
 * means something to who asked.
 */
export function writeUnreached(
  what: Unreached,
  bytes: Uint8Array,
  view: DataView,
  packet: PacketShape,
  from: number | undefined,
  out: number,
): number {
  if (packet.version === 6) {
    if (packet.protocol === Protocol.icmpv6 && (packet.length < 41 || view.getUint8(packet.at + 40) < 128)) return 0;
    const quoted = Math.min(packet.length, longestAnswer - 48);
    view.setUint32(out, 0x6000_0000);
    view.setUint16(out + 4, 8 + quoted);
    view.setUint16(out + 6, (Protocol.icmpv6 << 8) | 64);
    const source = from ?? packet.at + 24;
    bytes.copyWithin(out + 8, source, source + 16);
    bytes.copyWithin(out + 24, packet.at + 8, packet.at + 24);
    bytes.copyWithin(out + 48, packet.at, packet.at + quoted);
    view.setUint32(out + 40, what.icmpv6 << 16);
    view.setUint32(out + 44, 0);
    view.setUint16(out + 42, pseudoSum(view, out, 6, Protocol.icmpv6, 8 + quoted));
    finishSum(view, out + 40, 2, 8 + quoted);
    return 48 + quoted;
  }
  if (packet.protocol === Protocol.icmp && (packet.length < packet.ipHeader + 1 || !isIcmpEcho(view, packet))) return 0;
  const quoted = Math.min(packet.length, packet.ipHeader + 8);
  view.setUint32(out, 0x4500_0000 | (28 + quoted));
  view.setUint32(out + 4, 0);
  view.setUint32(out + 8, (64 << 24) | (Protocol.icmp << 16));
  if (from === undefined) bytes.copyWithin(out + 12, packet.at + 16, packet.at + 20);
  else view.setUint32(out + 12, dummyIpv4);
  bytes.copyWithin(out + 16, packet.at + 12, packet.at + 16);
  sumIpv4Header(view, out, 20);
  bytes.copyWithin(out + 28, packet.at, packet.at + quoted);
  view.setUint32(out + 20, what.icmp << 16);
  view.setUint32(out + 24, 0);
  view.setUint16(out + 22, ~foldSum(sumOctets(view, out + 20, 8 + quoted)) & 0xffff);
  return 28 + quoted;
}

function isIcmpEcho(view: DataView, packet: PacketShape): boolean {
  const type = view.getUint8(packet.transport);
  return type === 8 || type === 0;
}
