import { type Millis, never, second } from '../time.js';
import type { FormerPlace, GatewayDescription, Grant } from './contract.js';
import type { Entry } from './entry.js';

/** What a router has granted; a new one for each grant. */
export class Lease implements Entry {
  readonly gateway: GatewayDescription;
  readonly grant: Grant;
  readonly since: Millis;

  constructor(gateway: GatewayDescription, grant: Grant, since: Millis) {
    this.gateway = gateway;
    this.grant = grant;
    this.since = since;
  }

  get externalPort(): number {
    return this.grant.externalPort;
  }

  /** What tells it from another machine's, after our address on that side has changed. */
  get place(): FormerPlace {
    return { localAddress: this.gateway.localAddress, externalAddress: this.grant.externalAddress };
  }

  get isPermanent(): boolean {
    return this.grant.leaseSeconds === 0;
  }

  /** When this part of its time is over, 1 being all of it; never: it is permanent. */
  overAt(part: number): Millis {
    return this.isPermanent ? never : this.since + part * this.grant.leaseSeconds * second;
  }
}
