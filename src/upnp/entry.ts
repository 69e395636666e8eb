import type { GatewayDescription } from './contract.js';

/** A line of a router's table that forwards to our port, or may. */
export interface Entry {
  readonly gateway: GatewayDescription;
  readonly externalPort: number;
}

/** Whether what is mapped over the one may be seen, and removed, over the other: miniupnpd serves both protocols from one table. */
export function haveOneTable(one: GatewayDescription, other: GatewayDescription): boolean {
  return one.address === other.address && one.localAddress === other.localAddress;
}

/**
 * Whether to remove the one is to remove the other. Over NAT-PMP all entries of our port are removed, or none; over UPnP an
 * external port of a router is one entry, whichever address of ours it goes to.
 */
export function removalTakes(one: Entry, other: Entry): boolean {
  return one.gateway.protocol === 'nat-pmp'
    ? haveOneTable(one.gateway, other.gateway)
    : one.gateway.address === other.gateway.address && one.externalPort === other.externalPort;
}
