import { hour, type Millis, never, second } from '../time.js';
import type { GatewayDescription } from './contract.js';
import { haveOneTable } from './entry.js';
import { worthOfExternalAddress } from './external-address.js';
import type { Lease } from './lease.js';

/** Our tuning. */
/** What is permanent is ours to replace for that long after we have left it: later that address may be another machine's. */
const permanentIsOursFor: Millis = hour;
/** Places of ours that are remembered besides the one where we are. */
const mostLeft = 3;
/** Routers sweep what is over from their tables now and then: of a lease of an hour, within this and another minute. */
const sweepTakes: Millis = 2 * second;
const sweepPart = 1 / 60;

interface Left {
  readonly lease: Lease;
  /** Until then the entry is ours to replace. */
  readonly until: Millis;
  /** When the router has forgotten it; never: it was permanent. */
  readonly freeAt: Millis;
}

/** What routers may still forward to addresses that were ours, and that we cannot always remove from another one. */
export class FormerLeases {
  /** What we hold, or held last. */
  #last: Lease | undefined;
  /** The last of each other place, newest first. */
  #left: readonly Left[] = [];

  granted(lease: Lease): void {
    const last = this.#last;
    const hasMoved = last && !haveOneTable(last.gateway, lease.gateway);
    const left = hasMoved ? [leftBehind(last, lease.since), ...this.#left] : this.#left;
    this.#left = left.filter((one) => !haveOneTable(one.lease.gateway, lease.gateway)).slice(0, mostLeft);
    this.#last = lease;
  }

  /** What was left behind at this router when our address on its side changed, for as long as it may stand. */
  leftAt(gateway: GatewayDescription, now: Millis): Lease | undefined {
    const last = this.#last && { lease: this.#last, until: this.#last.overAt(1) };
    // Behind other NATs homes are alike.
    return [...(last ? [last] : []), ...this.#left].find(
      ({ lease, until }) =>
        now < until &&
        isOfAnotherOfOurs(lease, gateway) &&
        worthOfExternalAddress(lease.grant.externalAddress) === 'public',
    )?.lease;
  }

  /** What was left behind here, where we are again: it goes to us. */
  standingAt(gateway: GatewayDescription, now: Millis): Lease | undefined {
    return this.#left.find(({ lease, until }) => now < until && haveOneTable(lease.gateway, gateway))?.lease;
  }

  /**
   * When this port, which we left to an address that was ours and would rather have than the one we hold, is free again at
   * the router that we hold that one of.
   */
  freeAgainAt(port: number, held: Lease): Millis {
    if (held.externalPort === port) return never;
    const found = this.#left.find(
      ({ lease }) =>
        lease.externalPort === port &&
        isOfAnotherOfOurs(lease, held.gateway) &&
        lease.grant.externalAddress === held.grant.externalAddress,
    );
    return found?.freeAt ?? never;
  }

  /** It was asked for again. Who has it by now may keep it. */
  forget(port: number): void {
    this.#left = this.#left.filter(({ lease }) => lease.externalPort !== port);
  }
}

function isOfAnotherOfOurs({ gateway }: Lease, { address, localAddress }: GatewayDescription): boolean {
  return gateway.address === address && gateway.localAddress !== localAddress;
}

function leftBehind(lease: Lease, now: Millis): Left {
  if (lease.isPermanent) return { lease, until: now + permanentIsOursFor, freeAt: never };
  const time = lease.grant.leaseSeconds * second;
  // Over NAT-PMP each look at the table asked for it again.
  const until = lease.gateway.protocol === 'nat-pmp' ? now + time : lease.overAt(1);
  return { lease, until, freeAt: until + sweepTakes + sweepPart * time };
}
