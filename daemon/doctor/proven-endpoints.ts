import { parseEndpoint } from '../../src/addr/endpoint.js';
import { isOpen } from '../../src/addr/endpoint-record.js';
import { leadsOutside } from '../../src/mesh/reachability-candidates.js';
import type { EndpointInfo, TunnelInfo } from '../api.js';
import type { NodeFacts } from './facts.js';

/**
 * The endpoints whose proof says that members get in. A private one was proven by a neighbour on its own LAN: that is worth
 * something only while no member that is there is anywhere else.
 */
export function provenEndpoints({ status: { endpoints }, peers }: NodeFacts): EndpointInfo[] {
  const isAllInside = peers.every(
    ({ state, tunnel }) => state !== 'relayed' && !(tunnel && isOutside(tunnel, endpoints)),
  );
  return endpoints.filter((endpoint) => isOpen(endpoint) || (isAllInside && endpoint.proven));
}

/** It stands to a place outside our own network; `ours`: our endpoints. */
export function isOutside({ endpoint }: TunnelInfo, ours: readonly EndpointInfo[]): boolean {
  const there = parseEndpoint(endpoint);
  return there !== undefined && leadsOutside(there, ours);
}
