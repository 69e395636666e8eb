import { finishSum, foldSum, pseudoSum, sumIpv4Header, sumOctets } from './checksum.js';
import { type PacketShape, Protocol } from './packet.js';

/** IPv6 packets in answers never exceed its least MTU (RFC 4443 §2.4c). */
const longestAnswer = 1280;

/**
 * Writes at `out` the "no route to destination" answer to a packet from our own kernel (RFC 4443 §3.1, RFC 792) and returns
 * its length; 0 where none may be sent (RFC 4443 §2.4e: errors, multicast). The answer comes from the packet's own
 * destination, the one address that surely means something to who asked.
 */
export function writeUnreachable(bytes: Uint8Array, view: DataView, packet: PacketShape, out: number): number {
  if (packet.version === 6) {
    if (packet.protocol === Protocol.icmpv6 && (packet.length < 41 || view.getUint8(packet.at + 40) < 128)) return 0;
    const quoted = Math.min(packet.length, longestAnswer - 48);
    view.setUint32(out, 0x6000_0000);
    view.setUint16(out + 4, 8 + quoted);
    view.setUint16(out + 6, (Protocol.icmpv6 << 8) | 64);
    bytes.copyWithin(out + 8, packet.at + 24, packet.at + 40);
    bytes.copyWithin(out + 24, packet.at + 8, packet.at + 24);
    bytes.copyWithin(out + 48, packet.at, packet.at + quoted);
    view.setUint32(out + 40, 0x0100_0000);
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
  bytes.copyWithin(out + 12, packet.at + 16, packet.at + 20);
  bytes.copyWithin(out + 16, packet.at + 12, packet.at + 16);
  sumIpv4Header(view, out, 20);
  bytes.copyWithin(out + 28, packet.at, packet.at + quoted);
  view.setUint32(out + 20, 0x0301_0000);
  view.setUint32(out + 24, 0);
  view.setUint16(out + 22, ~foldSum(sumOctets(view, out + 20, 8 + quoted)) & 0xffff);
  return 28 + quoted;
}

function isIcmpEcho(view: DataView, packet: PacketShape): boolean {
  const type = view.getUint8(packet.transport);
  return type === 8 || type === 0;
}
