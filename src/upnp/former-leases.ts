import { hour, type Millis } from '../time.js';
import type { GatewayDescription } from './contract.js';
import { haveOneTable } from './entry.js';
import { worthOfExternalAddress } from './external-address.js';
import type { Lease } from './lease.js';

/** What is permanent is ours to replace for that long after we have left it: later that address may be another machine's. */
const permanentIsOursFor: Millis = hour;
/** Places of ours that are remembered, the one where we are included. */
const mostPlaces = 4;

/** What routers may still forward to addresses that were ours, and that we cannot always remove from another one. */
export class FormerLeases {
  /** The last of each place, newest first: what we hold, or held last. */
  #leases: readonly { readonly lease: Lease; readonly until: Millis }[] = [];

  granted(lease: Lease): void {
    const left = this.#leases
      .filter((before) => !haveOneTable(before.lease.gateway, lease.gateway))
      .map((before) => ({ ...before, until: Math.min(before.until, lease.since + permanentIsOursFor) }));
    this.#leases = [{ lease, until: lease.overAt(1) }, ...left].slice(0, mostPlaces);
  }

  /** What was left behind at this router when our address on its side changed, for as long as it may stand. */
  leftAt(gateway: GatewayDescription, now: Millis): Lease | undefined {
    return this.#leases.find(
      ({ lease, until }) =>
        now < until &&
        lease.gateway.address === gateway.address &&
        lease.gateway.localAddress !== gateway.localAddress &&
        // Behind other NATs homes are alike.
        worthOfExternalAddress(lease.grant.externalAddress) === 'public',
    )?.lease;
  }
}
