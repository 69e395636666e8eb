import type { IpBytes } from './ip.js';
import { Prefix } from './prefix.js';

/**
 * The bits between the network prefix and /64: 24 for a /40, 8 for a /56. Number 0 is never assigned.
 * Always fits 3 octets; on the wire a big-endian u24.
 */
export type NodeNumber = number;

/** The node's /64 inside the network prefix. */
export function nodePrefix(network: Prefix, number: NodeNumber): Prefix {
  const bytes = new Uint8Array(network.bytes);
  bytes[5]! |= (number >>> 16) & 0xff;
  bytes[6]! |= (number >>> 8) & 0xff;
  bytes[7]! |= number & 0xff;
  return new Prefix(bytes, 64);
}

/** The node whose /64 holds this address, or undefined when it is outside the network. 0 for the reserved /64. */
export function nodeNumberOf(network: Prefix, address: IpBytes): NodeNumber | undefined {
  if (!network.contains(address)) return undefined;
  const low = (address[5]! << 16) | (address[6]! << 8) | address[7]!;
  return low & (2 ** (64 - network.length) - 1);
}

/** How many node numbers a network or an issuer's sub-prefix has, 0 included. */
export function nodeNumbersIn(prefix: Prefix): number {
  return 2 ** (64 - prefix.length);
}

/** prefix::1, the node itself. */
export function nodeAddress(network: Prefix, number: NodeNumber): IpBytes {
  const bytes = new Uint8Array(nodePrefix(network, number).bytes);
  bytes[15] = 1;
  return bytes;
}

/** fe80::number, by which Babel names the neighbour behind a tunnel (docs/protocol/babel.md). */
export function tunnelLinkLocal(number: NodeNumber): IpBytes {
  const bytes = new Uint8Array(16);
  bytes[0] = 0xfe;
  bytes[1] = 0x80;
  bytes[13] = (number >>> 16) & 0xff;
  bytes[14] = (number >>> 8) & 0xff;
  bytes[15] = number & 0xff;
  return bytes;
}
