import type { IpBytes } from '../addr/ip.js';
import type { Prefix } from '../addr/prefix.js';
import { Bucket } from '../bucket.js';
import type { Allowance } from '../buckets.js';
import type { Millis } from '../time.js';
import type { InterfaceId, LanPolicy } from './contract.js';
import type { Outlet } from './outlet.js';
import type { Seqno } from './seqno.js';
import { spec } from './tuning.js';

/** Of a LAN besides its policy. */
export interface Lan {
  policy: LanPolicy;
  readonly ownIpv4: IpBytes | undefined;
}

/** Hellos sent before they are due because a LAN router was heard anew: so many at once, then so many a second. */
const earlyBurst = 12;
const earlyRate = 1;

/** Dumps asked for by routers of one LAN, all together: so many at once, then so many a second. */
const dumpBurst = 16;
const dumpRate = 1;

/**
 * New router-ids for prefixes that are known: so many at once, then so many a second. What is not used any more stays in
 * their table until that is swept.
 */
export const routerIdBurst = 1024;
export const routerIdRate = 4;

/** A tunnel of the overlay or a LAN (RFC 8966 §3.2.3). */
export class Interface {
  readonly id: InterfaceId;
  /** overlay: one of our tunnels, where the plane measures; the others are kinds of LAN. */
  readonly type: 'overlay' | 'wired' | 'wireless' | 'tunnel';
  readonly ownAddress: IpBytes;
  /** To everybody there. */
  readonly outlet: Outlet;
  readonly lan: Lan | undefined;
  readonly helloInterval: Millis;
  readonly updateInterval: Millis;
  helloSeqno: Seqno;
  helloAt: Millis;
  updateAt: Millis;
  /** Hellos sent, to know which of them bring IHUs. */
  hellos = 0;
  /** The next greeting brings IHUs whatever its number. */
  ihuDue = true;
  /** Of the next Hellos on a LAN, how many come in quick succession. */
  quickHellos = 0;
  /** However many routers come, or one comes however often, a LAN hears no more early Hellos than this. */
  readonly early: Bucket = new Bucket(earlyRate, earlyBurst);
  /** However many routers ask, under however many addresses; who comes too late hears the next periodic table. */
  readonly dumps: Bucket = new Bucket(dumpRate, dumpBurst);
  /** New router-ids: of the node at a tunnel's other end; of a LAN's routers all together, as their addresses cost nothing. */
  readonly routerIds: Allowance;
  /** Greetings sent early because a tunnel's neighbour has not answered yet. */
  earlyHellos = 0;
  #neighbours = 0;
  #emptyAt: Millis = Number.NEGATIVE_INFINITY;

  constructor(fields: {
    readonly id: InterfaceId;
    readonly type: 'overlay' | 'wired' | 'wireless' | 'tunnel';
    readonly ownAddress: IpBytes;
    readonly outlet: Outlet;
    readonly lan: Lan | undefined;
    readonly helloInterval: Millis;
    readonly updateInterval: Millis;
    readonly helloSeqno: Seqno;
    readonly routerIds: Allowance;
    readonly now: Millis;
  }) {
    this.id = fields.id;
    this.type = fields.type;
    this.ownAddress = fields.ownAddress;
    this.outlet = fields.outlet;
    this.lan = fields.lan;
    this.helloInterval = fields.helloInterval;
    this.updateInterval = fields.updateInterval;
    this.helloSeqno = fields.helloSeqno;
    this.routerIds = fields.routerIds;
    this.helloAt = fields.now + fields.helloInterval;
    this.updateAt = fields.now + fields.updateInterval;
  }

  neighbourCame(): void {
    this.#neighbours++;
  }

  neighbourWent(now: Millis): void {
    this.#neighbours--;
    this.#emptyAt = now;
  }

  /** True when there was a neighbour at that moment or since: nobody else uses what is announced here, for want of an IHU. */
  hadNeighbourSince(moment: Millis): boolean {
    return this.#neighbours > 0 || this.#emptyAt >= moment;
  }

  /** How long who hears no more of what was said here goes on believing it (RFC 8966 appendix B). */
  get believedFor(): Millis {
    return spec.routeExpiryFactor * this.updateInterval;
  }

  /** Where what one hears all hear: then what came from here need not be said here (RFC 8966 §3.7.4). */
  get splitsHorizon(): boolean {
    return this.type === 'overlay' || this.type === 'wired';
  }
}

/** True when a prefix of the list is this one or covers it, in one family. */
export function listCovers(list: readonly Prefix[], prefix: Prefix): boolean {
  return list.some((entry) => entry.isIpv4 === prefix.isIpv4 && entry.covers(prefix));
}

export function listOverlaps(list: readonly Prefix[], prefix: Prefix): boolean {
  return list.some((entry) => entry.isIpv4 === prefix.isIpv4 && (entry.covers(prefix) || prefix.covers(entry)));
}

/** ::/0 or 0.0.0.0/0. */
export function isDefaultRoute(prefix: Prefix): boolean {
  return prefix.length === 0 || (prefix.isIpv4 && prefix.length === 96);
}
