import { type Endpoint, isPrivateEndpoint } from '../addr/endpoint.js';
import type { RecordedEndpoint } from '../addr/endpoint-record.js';
import { announcedTls, type TlsEndpoint } from '../addr/tls-endpoint.js';

/** What this machine serves over TLS, as the operator has set it. */
export interface TlsOffer {
  /** Where it listens; 0.0.0.0 is every address. */
  readonly listen: Endpoint;
  /** Where that is reached from outside, where the operator says so. */
  readonly endpoint: Endpoint | undefined;
  /** The server name callers ask for. */
  readonly name: string | undefined;
}

/**
 * Where others are told to connect: at the operator's word, or else at the addresses the machine itself has, and those of
 * configured endpoints, public ones first. Never at the router's: what it forwards, or lets through, is our UDP port.
 */
export function tlsEndpoints(offer: TlsOffer, endpoints: readonly RecordedEndpoint[]): TlsEndpoint[] {
  const { listen, endpoint, name } = offer;
  if (endpoint) return announcedTls([{ ...endpoint, name }]);
  const own = endpoints.filter(({ source }) => source === 'configured' || source === 'local');
  const addresses = listen.address === '0.0.0.0' ? [...new Set(own.map(({ address }) => address))] : [listen.address];
  const found = addresses.map((address) => ({ address, port: listen.port, name }));
  return announcedTls(found.sort((a, b) => Number(isPrivateEndpoint(a)) - Number(isPrivateEndpoint(b))));
}
