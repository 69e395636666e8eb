import type { IpBytes } from '../addr/ip.js';
import type { NodeNumber } from '../addr/node-number.js';
import { Bucket } from '../bucket.js';
import type { Allowance } from '../buckets.js';
import type { CheckBudget } from '../check-budgets.js';
import { type Millis, never } from '../time.js';
import { DelayMeter } from './delay.js';
import { HelloHistory } from './hello-history.js';
import type { Interface } from './interface.js';
import { LinkCost } from './link-cost.js';
import { infinity, type Metric } from './metric.js';
import type { Outlet } from './outlet.js';
import { spec } from './tuning.js';

/** Comebacks believed at once, then a second. */
const comebackBurst = 3;
const comebackRate = 1 / 60;

/** One neighbour: an address on an interface, never a router-id (RFC 8966 §3.2.4). */
export class Neighbour {
  readonly interface: Interface;
  /** 16 octets, link-local. */
  readonly address: IpBytes;
  /** Undefined on a LAN. */
  readonly node: NodeNumber | undefined;
  /** Its column of the matrix. */
  readonly column: number;
  /** To it alone. */
  readonly outlet: Outlet;
  readonly multicast: HelloHistory = new HelloHistory();
  readonly unicast: HelloHistory = new HelloHistory();
  readonly linkCost: LinkCost = new LinkCost();
  readonly delay: DelayMeter = new DelayMeter();
  /** What it says it costs it to hear us, from its IHU. */
  txcost: Metric = infinity;
  ihuDeadline: Millis = never;
  /** What its routes cost more for being its; infinite until both directions work. */
  cost: Metric = infinity;
  isSuspected = false;
  /** No route of it expires, and none need be asked for, before this. */
  routesDeadline: Millis = never;
  routes = 0;
  /** Of such it had more than we took: what is proven later is asked for again. */
  hasUntold = false;
  /** Of prefixes of LANs it had more than there was room for: it is asked for all again when there is. */
  isOwed = false;
  owedAskedAt: Millis = Number.NEGATIVE_INFINITY;
  /** Next hops that differ from its address, by row. */
  readonly nextHops: Map<number, IpBytes> = new Map();
  /** Requests, and acknowledgement requests, that are answered. */
  readonly requests: Allowance;
  /** Signatures that are checked for it; undefined on a LAN, where nobody signs. */
  readonly checks: CheckBudget | undefined;
  /** Something of it was dropped unchecked: it is asked for all when it may have us check again. */
  wasUnchecked = false;
  /**
   * It has just come back, or its cost is no measurement yet, or it was suspected and is heard again, or it moved: until then its better
   * routes are taken at once.
   */
  settlesUntil: Millis = 0;
  /** How often that may be: a neighbour that comes and goes makes us change our minds no oftener than any other. */
  readonly comebacks: Bucket = new Bucket(comebackRate, comebackBurst);
  restartedAt: Millis = Number.NEGATIVE_INFINITY;
  dumpAfter: Millis = 0;
  greetAfter: Millis = 0;
  /** When the smoothed cost is to be looked at again. */
  costAt: Millis = never;

  constructor(
    at: Interface,
    address: IpBytes,
    node: NodeNumber | undefined,
    column: number,
    outlet: Outlet,
    budgets: { readonly requests: Allowance; readonly checks: CheckBudget | undefined },
  ) {
    this.interface = at;
    this.address = address;
    this.node = node;
    this.column = column;
    this.outlet = outlet;
    this.requests = budgets.requests;
    this.checks = budgets.checks;
  }

  /** What it costs us to hear it: what our IHU says (RFC 8966 §3.4.3). */
  get rxcost(): Metric {
    if (this.interface.type === 'wireless') {
      const share = this.multicast.share;
      return share <= 0 ? infinity : Math.min(infinity, Math.round(spec.etxCost / share));
    }
    const { multicast, unicast } = this;
    const isHeard =
      this.interface.type === 'overlay'
        ? multicast.isHeardLately || unicast.isHeardLately
        : multicast.isReceived || unicast.isReceived;
    return isHeard ? spec.wiredCost : infinity;
  }

  /** True while both directions work. */
  get isReachable(): boolean {
    return this.cost < infinity;
  }

  /** Recomputes `cost`; true when it changed. */
  refreshCost(now: Millis): boolean {
    const before = this.cost;
    this.cost = this.#costNow(now);
    return this.cost !== before;
  }

  #costNow(now: Millis): Metric {
    const rxcost = this.rxcost;
    if (rxcost === infinity || this.txcost === infinity) return infinity;
    switch (this.interface.type) {
      case 'overlay':
        return this.linkCost.cost;
      case 'wireless':
        return Math.min(infinity, Math.floor((Math.max(this.txcost, spec.etxCost) * rxcost) / spec.etxCost));
      case 'tunnel':
        return Math.min(infinity, Math.max(1, this.txcost) + this.delay.penalty(now));
      default:
        return Math.max(1, this.txcost);
    }
  }

  /** When a Hello or an IHU counts as missed, a route expires or the cost moves on. */
  get deadline(): Millis {
    const { multicast, unicast } = this;
    return Math.min(multicast.deadline, unicast.deadline, this.ihuDeadline, this.routesDeadline, this.costAt);
  }
}
