import { type Endpoint, isPrivateAddress } from '../addr/endpoint.js';
import { formatIp, isIpv4Bytes, parseIp } from '../addr/ip.js';

/**
 * Which of another node's endpoints are worth a datagram from here, in their order. A private address is, only where it may
 * mean the same machine to both: behind one NAT (both are seen at one public address), or where we have a private address of
 * the same /24 (IPv4) or /64 (IPv6) ourselves.
 */
export function worthDialling<One extends Endpoint>(theirs: readonly One[], ours: readonly Endpoint[]): One[] {
  const behindOneNat = commonAddress(theirs, ours) !== undefined;
  return theirs.filter(
    ({ address }) =>
      !isPrivateAddress(address) || behindOneNat || ours.some((own) => isOneNetwork(own.address, address)),
  );
}

export type Family = 'ipv4' | 'ipv6';

/** Of these endpoints, each once. */
export function familiesOf(endpoints: readonly Endpoint[]): Family[] {
  return [...new Set(endpoints.map(({ address }) => (address.includes(':') ? 'ipv6' : 'ipv4')))];
}

/**
 * Whether who has these endpoints can send to others over such a family. A private IPv6 address leads to no other network: no NAT
 * helps it out. Of whom none is known any family may be.
 */
export function canSendOver(families: readonly Family[], endpoints: readonly Endpoint[]): boolean {
  const own = familiesOf(endpoints.filter(({ address }) => !address.includes(':') || !isPrivateAddress(address)));
  return families.length > 0 && (endpoints.length === 0 || families.some((family) => own.includes(family)));
}

/** The public address at which both are reached, as two are behind one NAT. */
export function commonAddress(theirs: readonly Endpoint[], ours: readonly Endpoint[]): string | undefined {
  const ourAddresses = new Set(ours.map(({ address }) => address));
  return theirs.find(({ address }) => ourAddresses.has(address) && !isPrivateAddress(address))?.address;
}

/**
 * True for another node's endpoint that datagrams reach only by leaving our own network: it is not private, not an address of
 * ours (then our router sends it back inside), and not in our own /64 of public IPv6. Public IPv4 says nothing about its network.
 */
export function leadsOutside({ address }: Endpoint, ours: readonly Endpoint[]): boolean {
  return (
    !isPrivateAddress(address) &&
    !ours.some((own) => own.address === address || (address.includes(':') && isOneNetwork(own.address, address)))
  );
}

/**
 * The last address of an IPv4 network, which all its machines hear, and the first, which old ones take for the same (RFC 1122
 * §3.3.6). None where there are but one or two machines, or the length is not known.
 */
export function broadcastsOf({ address, length }: { readonly address: string; readonly length?: number }): string[] {
  const bytes = parseIp(address);
  if (!bytes || !isIpv4Bytes(bytes) || length === undefined || length > 30) return [];
  const hosts = 2 ** (32 - length) - 1;
  const view = new DataView(bytes.buffer);
  const own = view.getUint32(12);
  return [(own | hosts) >>> 0, (own & ~hosts) >>> 0].map((value) => {
    view.setUint32(12, value);
    return formatIp(bytes);
  });
}

function isOneNetwork(one: string, other: string): boolean {
  const [a, b] = [parseIp(one), parseIp(other)];
  if (!a || !b) return false;
  const octets = isIpv4Bytes(a) ? 15 : 8;
  return a.subarray(0, octets).every((octet, i) => octet === b[i]);
}
