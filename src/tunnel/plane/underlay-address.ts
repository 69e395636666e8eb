import type { Endpoint } from '../../addr/endpoint.js';
import { formatIp, parseIp } from '../../addr/ip.js';
import type { UnderlayAddress } from './adapters.js';

/** The 18 octets of an endpoint; undefined when its text is no address. */
export function toUnderlay(endpoint: Endpoint): UnderlayAddress | undefined {
  const ip = parseIp(endpoint.address);
  if (!ip) return undefined;
  const address = new Uint8Array(18);
  address.set(ip);
  address[16] = endpoint.port >>> 8;
  address[17] = endpoint.port & 0xff;
  return address;
}

export function toEndpoint(address: UnderlayAddress): Endpoint {
  return { address: formatIp(address.subarray(0, 16)), port: (address[16]! << 8) | address[17]! };
}
