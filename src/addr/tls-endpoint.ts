import type { CborValue } from '../cbor.js';
import { type Endpoint, isUsableEndpoint } from './endpoint.js';
import { endpointFromCbor, endpointToCbor } from './endpoint-cbor.js';

/** Where a node takes TLS connections (docs/protocol/tcp.md). */
export interface TlsEndpoint extends Endpoint {
  /** The server name a caller asks for (RFC 6066 §3); undefined: none is told. */
  readonly name: string | undefined;
}

export const maxTlsEndpoints = 2;

/** A DNS name in lower case, short enough for a record; the last label begins with a letter, so it is no IPv4 address. */
const serverName = /^(?=.{3,63}$)(?:[a-z0-9-]+\.)+[a-z][a-z0-9-]*$/;

export function isServerName(text: string): boolean {
  return serverName.test(text);
}

/** [address 4 or 16 octets, port], and the name where there is one. */
export function tlsEndpointToCbor(endpoint: TlsEndpoint): CborValue {
  const { name } = endpoint;
  return name === undefined ? endpointToCbor(endpoint) : [...endpointToCbor(endpoint), name];
}

/** The inverse, for endpoints a stranger may be told to connect to. */
export function tlsEndpointFromCbor(value: CborValue | undefined): TlsEndpoint | undefined {
  const endpoint = endpointFromCbor(value);
  const name = (value as readonly CborValue[] | undefined)?.[2];
  if (!endpoint || (name !== undefined && (typeof name !== 'string' || !isServerName(name)))) return undefined;
  return { ...endpoint, name };
}

/** As much of it as a record tells: what a stranger may dial, and no name that is none. */
export function announcedTls(endpoints: readonly TlsEndpoint[]): TlsEndpoint[] {
  return endpoints
    .filter(isUsableEndpoint)
    .slice(0, maxTlsEndpoints)
    .map(({ address, port, name }) => ({
      address,
      port,
      name: name !== undefined && isServerName(name) ? name : undefined,
    }));
}
