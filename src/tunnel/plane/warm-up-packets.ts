import { type NodeNumber, nodeAddress } from '../../addr/node-number.js';
import type { Prefix } from '../../addr/prefix.js';
import { pseudoSum } from './checksum.js';
import { Protocol, TcpFlag } from './packet.js';
import { VirtioGso, virtioHeaderLength, writeOpenVirtio } from './virtio.js';

const ipv6Header = 40;
const echoRequest = 128;
/** What TCP has room for in a packet of 1380 octets, with the timestamps every kernel sends. */
const segment = 1308;
const tcpHeader = 32;

/**
 * Packets as a kernel hands them over, virtio header first, from one node to another: an echo request, a bare TCP
 * acknowledgement, a small UDP packet, and a TCP super-packet of three segments, the last one short.
 */
export function warmUpPackets(
  network: Prefix,
  from: NodeNumber,
  to: NodeNumber,
): { readonly small: readonly Uint8Array[]; readonly long: Uint8Array } {
  const make = (protocol: number, transport: number, payload: number, gso: number) => {
    const packet = new Uint8Array(virtioHeaderLength + ipv6Header + transport + payload);
    const view = new DataView(packet.buffer);
    const ip = virtioHeaderLength;
    view.setUint32(ip, 0x6000_0000);
    view.setUint16(ip + 4, transport + payload);
    view.setUint16(ip + 6, (protocol << 8) | 64);
    packet.set(nodeAddress(network, from), ip + 8);
    packet.set(nodeAddress(network, to), ip + 24);
    const at = ip + ipv6Header;
    if (protocol === Protocol.icmpv6) {
      view.setUint8(at, echoRequest);
      return packet;
    }
    const tcp = protocol === Protocol.tcp;
    if (tcp) view.setUint16(at + 12, ((transport / 4) << 12) | TcpFlag.ack);
    else view.setUint16(at + 4, transport + payload);
    const sum = tcp ? 16 : 6;
    view.setUint16(at + sum, pseudoSum(view, ip, 6, protocol, transport + payload));
    const size = gso === VirtioGso.none ? 0 : segment;
    writeOpenVirtio(view, 0, gso, size && ipv6Header + transport, size, ipv6Header, sum);
    return packet;
  };
  return {
    small: [
      make(Protocol.icmpv6, 8, 56, VirtioGso.none),
      make(Protocol.tcp, tcpHeader, 0, VirtioGso.none),
      make(Protocol.udp, 8, 200, VirtioGso.none),
    ],
    long: make(Protocol.tcp, tcpHeader, 2 * segment + 100, VirtioGso.tcp6),
  };
}
