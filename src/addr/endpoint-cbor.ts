import type { CborValue } from '../cbor.js';
import { type Endpoint, isUsableEndpoint } from './endpoint.js';
import { formatIp, isIpv4Bytes, parseIp } from './ip.js';

/** [address, port]: 4 octets for IPv4, 16 for IPv6. */
export function endpointToCbor(endpoint: Endpoint): [Uint8Array, number] {
  const bytes = parseIp(endpoint.address);
  if (!bytes) throw new RangeError('not an endpoint');
  return [isIpv4Bytes(bytes) ? bytes.slice(12) : bytes, endpoint.port];
}

/** The inverse, for endpoints a stranger may be told to send to. */
export function endpointFromCbor(value: CborValue | undefined): Endpoint | undefined {
  if (!Array.isArray(value) || value.length < 2) return undefined;
  const [octets, port] = value;
  if (!(octets instanceof Uint8Array) || typeof port !== 'number' || !Number.isInteger(port)) return undefined;
  if (octets.length !== 4 && octets.length !== 16) return undefined;
  const bytes = new Uint8Array(16);
  if (octets.length === 4) bytes.fill(0xff, 10, 12);
  bytes.set(octets, 16 - octets.length);
  const endpoint = { address: formatIp(bytes), port };
  return isUsableEndpoint(endpoint) ? endpoint : undefined;
}
