import { formatIp, type IpBytes } from '../src/addr/ip.js';
import type { RouteRow, Standing } from '../src/routing/contract.js';
import type { Candidate, Why } from './api.js';

/** What `weft why` must know beside the routes. */
export interface Whereabouts {
  readonly target: string;
  readonly address: IpBytes;
  /** How the neighbour of a route is called; null for our own. */
  hop(row: RouteRow): string | null;
  /** True when the neighbour of a route is the very node that is asked about. */
  isDirect(row: RouteRow): boolean;
  /** Where packets leave the overlay; null for overlay prefixes. */
  egress(row: RouteRow): string | null;
  /** True when the neighbour is a router on one of our LANs. */
  isLan(row: RouteRow): boolean;
  /** Why there is no direct tunnel; empty where there is one or none is wanted. */
  readonly withoutTunnel: string;
}

const unreachable = 0xffff;
/** Cost of a millisecond of round trip (docs/protocol/babel.md, Metric). */
const costOfMs = 10;

/** The routes that speak of an address: of the longest prefix that is in use and covers it, and of longer ones that are not. */
export function coveringRows(rows: readonly RouteRow[], address: IpBytes): RouteRow[] {
  const covering = rows.filter((row) => row.prefix.contains(address));
  const used = covering.filter((row) => row.selected).map((row) => row.prefix.length);
  const least = used.length > 0 ? Math.max(...used) : Math.max(0, ...covering.map((row) => row.prefix.length));
  return covering.filter((row) => row.prefix.length >= least);
}

const reasons: Readonly<Record<Standing, string>> = {
  selected: 'used: the best feasible route',
  worse: 'a longer way than the one in use',
  'not-better-enough': 'a little better than the one in use, but not by enough to change',
  'better-not-long-enough': 'better than the one in use, but not for long enough yet',
  'left-lately': 'it was left a short while ago because it got worse; it must prove itself first',
  suspected: 'nothing is heard from that neighbour at the moment',
  unfeasible: 'taking it could make a loop: a newer sequence number is asked for once it is the best there is',
  retracted: 'the neighbour has taken it back',
  'neighbour-unreachable': 'the neighbour does not hear us, or we do not hear it',
  unproven: 'its signature, or the certificate of who signs it, is not here yet',
  'old-epoch': 'announced under numbers its owner has given up',
};

/** The decision in words, from all routes there are. */
export function explain(rows: readonly RouteRow[], about: Whereabouts): Why {
  const covering = coveringRows(rows, about.address);
  const chosen = covering.find((row) => row.selected);
  const candidates = covering
    .map(
      (row): Candidate => ({
        nextHop: about.hop(row),
        metric: row.metric,
        seqno: row.seqno,
        selected: row.selected,
        feasible: row.feasible,
        ageSeconds: Math.floor(row.ageSeconds),
        reason: reasonOf(row, chosen),
      }),
    )
    .sort((a, b) => Number(b.selected) - Number(a.selected) || a.metric - b.metric);
  return {
    target: about.target,
    address: formatIp(about.address),
    decision: decision(covering, chosen, about),
    candidates,
    change: covering.length === 0 && about.withoutTunnel === '' ? elsewhere : change(chosen, about),
  };
}

/** Why each of these routes, all there are of their prefixes, is used or is not, in the words of `explain`. */
export function reasonsOf(rows: readonly RouteRow[]): (row: RouteRow) => string {
  const chosen = new Map(rows.filter((row) => row.selected).map((row) => [row.prefix.key, row]));
  return (row) => reasonOf(row, chosen.get(row.prefix.key));
}

function reasonOf(row: RouteRow, chosen: RouteRow | undefined): string {
  return reasons[row.standing] + bound(row) + (chosen && !row.selected ? ` (${difference(row, chosen)})` : '');
}

/** What an unfeasible route would have to beat. */
function bound({ standing, announced, distance }: RouteRow): string {
  if (standing !== 'unfeasible' || !distance) return '';
  return `; it says ${announced}, and we have announced ${distance.metric} ourselves`;
}

/** By how much another route differs from the one in use. */
function difference(row: RouteRow, chosen: RouteRow): string {
  if (row.prefix.key !== chosen.prefix.key) return `of ${row.prefix}`;
  if (row.metric >= unreachable) return 'no finite metric';
  const more = row.metric - chosen.metric;
  const ms = Math.round(Math.abs(more) / costOfMs);
  const asTime = ms === 0 ? '' : `, as if ${ms} ms ${more > 0 ? 'longer' : 'shorter'}`;
  return `metric ${more >= 0 ? '+' : ''}${more}${asTime}`;
}

function decision(rows: readonly RouteRow[], chosen: RouteRow | undefined, about: Whereabouts): string {
  if (!chosen) {
    return rows.length === 0 ? 'there is no route to it' : `none of the ${rows.length} routes to it can be used`;
  }
  const hop = about.hop(chosen);
  if (chosen.interface === undefined) {
    return chosen.prefix.length === 64 ? 'it is on this node' : `it is on ${chosen.prefix}, a network of this node`;
  }
  if (about.isLan(chosen)) return `onto our LAN, by the router ${hop} (metric ${chosen.metric})`;
  const egress = about.egress(chosen);
  const leaves = egress === null ? '' : `leaves the overlay at ${egress}: `;
  if (about.isDirect(chosen) || egress === hop) {
    return `${leaves}direct, by the tunnel to ${hop} (metric ${chosen.metric})`;
  }
  const direct = rows.find((row) => row !== chosen && row.prefix.key === chosen.prefix.key && about.isDirect(row));
  const beaten = direct ? `; the direct tunnel would be worse: ${difference(direct, chosen)}` : '';
  return `${leaves}relayed by ${hop}, which cannot read it (metric ${chosen.metric})${beaten}`;
}

/** For an address outside the network that no node announces. */
const elsewhere =
  'a node that announces it: on an issuer "weft grant NAME --lan PREFIX", on that node [[babel.interface]] in the configuration';

function change(chosen: RouteRow | undefined, about: Whereabouts): string {
  if (chosen?.interface === undefined && chosen) return '';
  if (about.withoutTunnel !== '') return about.withoutTunnel;
  return chosen ? 'another way would have to be faster, by a margin and for some seconds' : '';
}
