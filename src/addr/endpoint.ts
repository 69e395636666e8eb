import { formatIp, isIpv4Bytes, parseIp } from './ip.js';

/**
 * Where datagrams go: an IP address in canonical text (RFC 5952 or dotted) and a UDP port. Plain data, crosses threads.
 */
export interface Endpoint {
  readonly address: string;
  readonly port: number;
}

/** How a node came to know an endpoint of its own; `status --json` shows these words. */
export type EndpointSource = 'configured' | 'local' | 'upnp' | 'nat-pmp' | 'observed';

/** "192.0.2.1:16696" or "[2001:db8::1]:16696"; also the key for maps. */
export function formatEndpoint(endpoint: Endpoint): string {
  return endpoint.address.includes(':')
    ? `[${endpoint.address}]:${endpoint.port}`
    : `${endpoint.address}:${endpoint.port}`;
}

export function sameEndpoint(a: Endpoint, b: Endpoint): boolean {
  return a.port === b.port && a.address === b.address;
}

/**
 * The inverse of formatEndpoint; without a port, `defaultPort`. Undefined when malformed; host names are not endpoints.
 */
export function parseEndpoint(text: string, defaultPort?: number): Endpoint | undefined {
  const match = /^(?:\[([^\]]+)\]|([^:[\]]+))(?::(\d{1,5}))?$/.exec(text);
  if (!match) return undefined;
  const bytes = parseIp(match[1] ?? match[2] ?? '');
  const port = match[3] === undefined ? defaultPort : Number(match[3]);
  if (!bytes || port === undefined || port < 1 || port > 65535) return undefined;
  return { address: formatIp(bytes), port };
}

/**
 * True for an address a stranger may be told to send to: not unspecified, loopback, link-local, multicast or broadcast.
 */
export function isUsableEndpoint(endpoint: Endpoint): boolean {
  const bytes = parseIp(endpoint.address);
  if (!bytes || endpoint.port < 1 || endpoint.port > 65535) return false;
  if (isIpv4Bytes(bytes)) {
    const [a, b] = [bytes[12]!, bytes[13]!];
    return a !== 0 && a !== 127 && a < 224 && !(a === 169 && b === 254);
  }
  const loopbackOrAny = bytes.subarray(0, 15).every((octet) => octet === 0) && bytes[15]! <= 1;
  return !loopbackOrAny && bytes[0] !== 0xff && !(bytes[0] === 0xfe && (bytes[1]! & 0xc0) === 0x80);
}

export function isPrivateEndpoint({ address }: Endpoint): boolean {
  return isPrivateAddress(address);
}

/**
 * True for an address that only its own network reaches, and that means one machine here and another elsewhere: RFC 1918,
 * shared (RFC 6598) and unique local (RFC 4193) ones.
 */
export function isPrivateAddress(address: string): boolean {
  const bytes = parseIp(address);
  if (!bytes) return false;
  if (!isIpv4Bytes(bytes)) return (bytes[0]! & 0xfe) === 0xfc;
  const [a, b] = [bytes[12]!, bytes[13]!];
  return a === 10 || (a === 172 && b >> 4 === 1) || (a === 192 && b === 168) || (a === 100 && b >> 6 === 1);
}
