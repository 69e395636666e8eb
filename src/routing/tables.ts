import type { NodeNumber } from '../addr/node-number.js';
import type { Prefix } from '../addr/prefix.js';
import type { CheckBudget } from '../check-budgets.js';
import type { Random } from '../random.js';
import type { Millis } from '../time.js';
import type { Alarm, Alarms } from './alarm.js';
import type { InterfaceId, OriginAuthority, SpeakerEffect } from './contract.js';
import type { DestinationTable } from './destination.js';
import type { Interface } from './interface.js';
import type { Neighbour } from './neighbour.js';
import type { Outlet } from './outlet.js';
import type { OwnNumbering } from './own-numbering.js';
import type { PendingRequests } from './pending-requests.js';
import type { Reports } from './reports.js';
import type { RouteMatrix } from './route-matrix.js';
import type { RouterTable } from './router-table.js';
import { spec, type Tuning } from './tuning.js';

/** What a speaker knows: the tables its parts share. */
export interface Tables {
  readonly node: number;
  readonly network: Prefix;
  readonly acceptDefaultRoutes: boolean;
  /** Whether neighbours are told of routes through other nodes. */
  relays: boolean;
  readonly authority: OriginAuthority;
  /** Signatures that neighbours may have us check. */
  readonly checks: { of(node: NodeNumber): CheckBudget };
  readonly random: Random;
  readonly tuning: Tuning;
  readonly matrix: RouteMatrix;
  readonly destinations: DestinationTable;
  readonly routers: RouterTable;
  /** Neighbours by column; undefined where a column is free or a LAN's multicast has it. */
  readonly columns: (Neighbour | undefined)[];
  readonly interfaces: Map<InterfaceId, Interface>;
  readonly pending: PendingRequests;
  readonly numbering: OwnNumbering;
  /** Hellos, updates, and what neighbours promised: the deadlines of interfaces and neighbours. */
  readonly timers: Alarm;
  /** By column. */
  readonly outlets: (Outlet | undefined)[];
  /** When the outlet of a column has something to send or to repeat. */
  readonly sending: Alarms;
  readonly reports: Reports;
  /** Orders given so far in this call. */
  readonly effects: SpeakerEffect[];
  /** Where the tenths of a second in the matrix begin. */
  readonly epochStart: Millis;
}

/** The moment in the matrix's tenths of a second. */
export function tenthsOf({ epochStart }: Tables, now: Millis): number {
  return Math.max(0, Math.ceil((now - epochStart) / 100));
}

/** When a route heard now with this interval (in hundredths of a second) expires, in the same tenths. */
export function expiryOf(tables: Tables, interval: number, now: Millis): number {
  return tenthsOf(tables, now) + Math.ceil((spec.routeExpiryFactor * interval) / 10);
}
