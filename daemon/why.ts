import { formatIp, type IpBytes, isIpv4Bytes } from '../src/addr/ip.js';
import type { ReportCode, RouteRow, Standing } from '../src/routing/contract.js';
import { isNewer } from '../src/routing/seqno.js';
import { defaultTuning } from '../src/routing/tuning.js';
import { minute } from '../src/time.js';
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

/**
 * The routes that speak of an address: of the longest prefix that covers it and is in use, or lost so lately that no shorter one is,
 * and of longer ones that are not. Of an IPv4 address none of ::/0 and the like, which say nothing of IPv4.
 */
export function coveringRows(rows: readonly RouteRow[], address: IpBytes): RouteRow[] {
  const isIpv4 = isIpv4Bytes(address);
  const covering = rows.filter((row) => row.prefix.isIpv4 === isIpv4 && row.prefix.contains(address));
  const used = covering.filter((row) => row.selected || row.held);
  const deciding = used.length > 0 ? used : covering.filter((row) => row.standing !== 'refused');
  const least = Math.max(0, ...deciding.map((row) => row.prefix.length));
  return covering.filter((row) => row.prefix.length >= least);
}

const reasons: Readonly<Record<Standing, string>> = {
  selected: 'used: the best feasible route',
  worse: 'a longer way than the one in use',
  'not-better-enough': 'a little better than the one in use, but not by enough to change',
  'better-not-long-enough': 'better than the one in use, but not for long enough yet',
  'left-lately': `it was left because it had become worse, at most ${defaultTuning.leftFor / minute} minutes ago; it is returned to after those, or once the one in use is lost or is worse by far`,
  suspected: 'nothing is heard from that neighbour at the moment',
  unfeasible: 'taking it could make a loop: a newer sequence number is asked for once it is the best there is',
  retracted: 'the neighbour has taken it back',
  'neighbour-unreachable': 'the neighbour does not hear us, or we do not hear it',
  unproven: 'its signature, or the certificate of who signs it, is not here yet',
  'old-epoch': 'announced under numbers its owner has given up',
  refused: 'refused',
};

/** Why an update was refused. */
const refusals: Readonly<Record<ReportCode, string>> = {
  'invalid-signature': 'its signature is not valid',
  'not-the-owner': 'who signed it does not own this prefix',
  'old-epoch': 'announced under numbers its owner has given up',
  'replayed-seqno': 'its sequence number is long past: an old announcement, told again',
  'not-granted': 'no certificate grants this prefix to the node behind which it is said to be',
  'overlay-prefix-from-lan': 'it is of the overlay, and a LAN may not announce that',
  'foreign-import': 'neither "import" of [[babel.interface]] nor our certificate lists it',
  'import-meets-connected': 'it meets a network this machine is connected to, or its default gateway',
  'default-route': 'a default route is taken from a LAN only where "import" of [[babel.interface]] lists it',
  'own-prefix-by-another': 'it is our own',
  quota: 'there are too many prefixes, or too many of this neighbour',
  'lan-quota': 'the LANs behind one node announce too many prefixes',
  'other-daemon': 'another Babel daemon runs on this interface',
  'restarts-too-often': 'its owner restarts too often',
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
    change: covering.length === 0 && about.withoutTunnel === '' ? elsewhere : change(covering, chosen, about),
  };
}

/** Why each of these routes, all there are of their prefixes, is used or is not, in the words of `explain`. */
export function reasonsOf(rows: readonly RouteRow[]): (row: RouteRow) => string {
  const chosen = new Map(rows.filter((row) => row.selected).map((row) => [row.prefix.key, row]));
  return (row) => reasonOf(row, chosen.get(row.prefix.key));
}

function reasonOf(row: RouteRow, chosen: RouteRow | undefined): string {
  const refused = row.refusal ? `: ${refusals[row.refusal]}` : '';
  return (
    reasons[row.standing] + refused + bound(row) + (chosen && !row.selected ? ` (${difference(row, chosen)})` : '')
  );
}

/** What an unfeasible route would have to beat: a newer seqno beats any metric, an older one is beaten by any. */
function bound({ standing, announced, seqno, distance }: RouteRow): string {
  if (standing !== 'unfeasible' || !distance) return '';
  if (isNewer(distance.seqno, seqno)) {
    return `; its sequence number ${seqno} is older than the ${distance.seqno} we have announced`;
  }
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
    const held = rows.find((row) => row.held);
    if (held) return `dropped: ${held.prefix} was lost, and no shorter prefix is used before all neighbours know that`;
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

function change(rows: readonly RouteRow[], chosen: RouteRow | undefined, about: Whereabouts): string {
  if (chosen?.interface === undefined && chosen) return '';
  if (about.withoutTunnel !== '') return about.withoutTunnel;
  if (!chosen) return '';
  const better = rows
    .filter((row) => row.prefix.key === chosen.prefix.key && row.metric < chosen.metric)
    .sort((a, b) => a.metric - b.metric);
  const words = better.map(({ standing }) => forBetter[standing]).find((text) => text !== undefined);
  return words ?? 'another way would have to be faster, by a margin and for some seconds';
}

/** What would have the better way taken, where being faster is not what it lacks. */
const forBetter: Readonly<Partial<Record<Standing, string>>> = {
  'better-not-long-enough': 'time: a better way is taken when it has been better for some seconds',
  'left-lately':
    'time: the better way was left lately; before it is over, the one in use would have to be lost, or worse by far for some seconds',
  suspected: 'something would have to be heard from the neighbour of the better way',
  unfeasible: 'the better way would have to be announced with a newer sequence number',
  unproven: 'the signature of the better way, and the certificate of who signs it, would have to come',
  refused: 'the better way would have to be accepted: its reason says why it is not',
};
