import { isPrivateEndpoint } from '../../src/addr/endpoint.js';
import { isOpen } from '../../src/addr/endpoint-record.js';
import type { EndpointInfo } from '../api.js';

/**
 * The endpoints whose proof says that members get in. A private one was proven by a neighbour on its own LAN: that is worth
 * something only while nobody sees this machine from elsewhere.
 */
export function provenEndpoints(endpoints: readonly EndpointInfo[]): EndpointInfo[] {
  const isAllInside = endpoints.every(isPrivateEndpoint);
  return endpoints.filter((endpoint) => isOpen(endpoint) || (isAllInside && endpoint.proven));
}
