import { isIpv4Bytes, parseIp } from '../addr/ip.js';
import { type Prefix, parsePrefix } from '../addr/prefix.js';

/**
 * What an external address as told by a router is worth.
 *
 * - public: the Internet may reach it;
 * - private: RFC 1918 or DS-Lite's 192.0.0.0/29: another router of the house, or of the provider, stands in front;
 * - shared: 100.64.0.0/10 (RFC 6598): the provider's NAT (CGNAT) stands in front;
 * - unusable: no unicast IPv4 address of a network at all (0.0.0.0, loopback, link-local, multicast, broadcast).
 */
export type AddressWorth = 'public' | 'private' | 'shared' | 'unusable';

const prefixes = (...texts: string[]): Prefix[] => texts.map((text) => parsePrefix(text)!);
const privateRanges = prefixes('10.0.0.0/8', '172.16.0.0/12', '192.168.0.0/16', '192.0.0.0/29');
const sharedRange = parsePrefix('100.64.0.0/10')!;
const unusableRanges = prefixes('0.0.0.0/8', '127.0.0.0/8', '169.254.0.0/16', '224.0.0.0/3');

/** What a router is taken to say that has none, in whatever words. */
export const noAddress = '0.0.0.0';

export function worthOfExternalAddress(address: string): AddressWorth {
  const bytes = parseIp(address);
  if (!bytes || !isIpv4Bytes(bytes) || unusableRanges.some((range) => range.contains(bytes))) return 'unusable';
  if (sharedRange.contains(bytes)) return 'shared';
  return privateRanges.some((range) => range.contains(bytes)) ? 'private' : 'public';
}
