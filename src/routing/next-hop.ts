import { type IpBytes, isIpv4Bytes } from '../addr/ip.js';
import type { Prefix } from '../addr/prefix.js';
import { equalBytes } from '../bytes.js';
import type { LanPolicy } from './contract.js';

/**
 * True when a router of the LAN may have this address, where our link-local one is `ownAddress`. One of our own leads back to
 * ourselves, a global IPv6 one outside the LAN's networks to wherever the kernel has it, and the last of an IPv4 network to
 * everybody; the kernel refuses routes by any of them. An IPv4 router may well be outside: its address needs no network.
 */
export function mayBeRouter(address: IpBytes, ownAddress: IpBytes, { own, onLink }: LanPolicy): boolean {
  if (equalBytes(address, ownAddress) || isIn(own, address)) return false;
  if (isIpv4Bytes(address)) return !onLink.some((network) => isBroadcast(address, network));
  return isLinkLocal(address) || isIn(onLink, address);
}

function isIn(networks: readonly Prefix[], address: IpBytes): boolean {
  for (const network of networks) if (network.contains(address)) return true;
  return false;
}

/** fe80::/10. */
function isLinkLocal(address: IpBytes): boolean {
  return address[0] === 0xfe && (address[1]! & 0xc0) === 0x80;
}

/** The last address of an IPv4 network that has more than two. */
function isBroadcast(address: IpBytes, network: Prefix): boolean {
  if (!network.isIpv4 || network.length > 126 || !network.contains(address)) return false;
  for (let bit = network.length; bit < 128; bit++) if ((address[bit >> 3]! & (0x80 >> (bit & 7))) === 0) return false;
  return true;
}
