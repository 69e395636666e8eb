import { type Prefix, parsePrefix } from '../../src/addr/prefix.js';
import { isDefaultRoute } from '../../src/routing/interface.js';

/**
 * What the kernel is to hold for one network, as pure data (docs/OPERATIONS.md, What it does to the host).
 *
 *     lo            node and app addresses, /128: apps keep them while weftd restarts
 *     own table     network prefix -> weft0, src = node address;
 *                   own /64 -> throw, so that the operator's routes inside it (containers, a LAN) are found in main
 *     LAN table     prefixes behind other nodes -> weft0, or unreachable while it is down or gone;
 *                   prefixes learned from routers on our LANs -> those routers
 *     main table    network prefix, own /64 -> unreachable: nothing leaks to the default route, for marked packets and
 *                   while weft0 is away; nothing loops kernel-TUN-kernel
 *     rules         packets without our mark look in the own table; then, where there are LAN prefixes, in main but for its
 *                   default route, so that nobody's LAN takes the place of one this machine is on; then in the LAN table
 *
 * All of it carries the network's tag, so it can be told from everything else on the host without any record on disk:
 * addresses by their metric, routes by protocol and table or metric, rules by protocol and priority.
 */
export interface HostPlan {
  readonly device: string;
  readonly mtu: number;
  /** The most segments the kernel hands over as one super-packet (gso_max_segs). */
  readonly segments: number;
  /** SO_MARK of the outer sockets. */
  readonly mark: number;
  readonly network: Prefix;
  /** The node's own /64. */
  readonly own: Prefix;
  /** Canonical text (RFC 5952), as all addresses here. */
  readonly node: string;
  readonly apps: readonly string[];
  /** LAN prefixes of either family: behind other nodes, or behind a router on a LAN of ours. */
  readonly lans: readonly LanRoute[];
  /** Our address from which IPv4 packets to LANs behind other nodes come; undefined: as the kernel likes. */
  readonly ipv4Source: string | undefined;
}

/**
 * A LAN prefix: behind another node, by the TUN; lost and not yet known to be lost everywhere; or behind a router on a LAN of
 * ours. IPv4 may have an IPv6 router (RFC 9229).
 */
export type LanRoute =
  | { readonly prefix: Prefix; readonly via: 'overlay' | 'nowhere' }
  | { readonly prefix: Prefix; readonly via: 'lan'; readonly router: string; readonly device: string };

/** `proto` of our routes and rules in the kernel; a number that /etc/iproute2/rt_protos leaves free. */
export const hostProtocol = 120;

/** Our routes in our own tables; any value, but always the same, since the kernel tells routes apart by it. */
const routeMetric = 1024;

const firstTag = 17_000;
/** From the tag to the priority of the rule that looks in main, and to the number and rule priority of the LAN table. */
const mainOffset = 2000;
const lanOffset = 4000;

/** The number of a network on this host: table, rule priority, metric of its addresses. weft0 has 17000, weft1 17001. */
export function hostTag(device: string): number {
  const numbered = /^weft(\d{1,3})$/.exec(device);
  if (numbered) return firstTag + Number(numbered[1]);
  let hash = 0;
  for (const character of device) hash = (hash * 31 + character.charCodeAt(0)) % 1000;
  return firstTag + 1000 + hash;
}

/** Whether a command of `hostChanges` is about this address. */
export function isOfAddress(command: string, address: string): boolean {
  return command.startsWith('addr ') && command.includes(` ${address}/128 `);
}

/** Whether a command of `hostChanges` is about a route to a LAN prefix: others than we have a say in those. */
export function isLanRoute(command: string, device: string): boolean {
  return command.startsWith('route ') && command.includes(` table ${lanTable(hostTag(device))} `);
}

export function lanTable(tag: number): number {
  return tag + lanOffset;
}

/** Priorities of all rules a network may have. */
export function rulePriorities(tag: number): readonly number[] {
  return [tag, tag + mainOffset, tag + lanOffset];
}

/** Lines of `ip` arguments behind a verb, in a canonical form that actual ones are brought into too. */
export interface HostEntries {
  /** "ADDRESS/128 dev lo metric TAG" */
  readonly addresses: readonly string[];
  readonly routes6: readonly string[];
  readonly routes4: readonly string[];
  readonly rules6: readonly string[];
  readonly rules4: readonly string[];
}

export const noEntries: HostEntries = { addresses: [], routes6: [], routes4: [], rules6: [], rules4: [] };

/**
 * `hasDevice`: false while it is down or gone. What is behind other nodes is unreachable then, for the machine's own default route
 * would carry it in the clear; a default route that was accepted is none, for it would hide that one.
 */
export function planEntries(plan: HostPlan, hasDevice = true): HostEntries {
  const tag = hostTag(plan.device);
  const inTable = (table: number | 'main', metric: number) => `table ${table} proto ${hostProtocol} metric ${metric}`;
  const own = inTable(tag, routeMetric);
  const main = inTable('main', tag);
  const lan = inTable(lanTable(tag), routeMetric);
  const lans = hasDevice ? plan.lans : plan.lans.flatMap(withoutDevice);
  const lans4 = lans.filter(({ prefix }) => prefix.isIpv4);
  const lans6 = lans.filter(({ prefix }) => !prefix.isIpv4);
  const source4 = plan.ipv4Source === undefined ? '' : ` src ${plan.ipv4Source}`;
  const lanLine = (route: LanRoute) => {
    const { prefix } = route;
    if (route.via === 'nowhere') return `unreachable ${prefix} ${lan}`;
    if (route.via === 'lan') {
      return `${prefix} ${viaText(prefix.isIpv4, route.router)} dev ${route.device} onlink ${lan}`;
    }
    return `${prefix} dev ${plan.device}${prefix.isIpv4 ? source4 : ` src ${plan.node}`} ${lan}`;
  };
  const unmarked = `not fwmark 0x${plan.mark.toString(16)} lookup`;
  const lanRules = [
    `${unmarked} main suppress_prefixlength 0 pref ${tag + mainOffset} protocol ${hostProtocol}`,
    `${unmarked} ${lanTable(tag)} pref ${tag + lanOffset} protocol ${hostProtocol}`,
  ];
  return {
    addresses: [plan.node, ...plan.apps].map((address) => `${address}/128 dev lo metric ${tag}`),
    routes6: [
      `unreachable ${plan.network} ${main}`,
      `unreachable ${plan.own} ${main}`,
      `throw ${plan.own} ${own}`,
      ...(hasDevice ? [`${plan.network} dev ${plan.device} src ${plan.node} ${own}`] : []),
      ...lans6.map(lanLine),
    ],
    routes4: lans4.map(lanLine),
    rules6: [`${unmarked} ${tag} pref ${tag} protocol ${hostProtocol}`, ...(lans6.length > 0 ? lanRules : [])],
    rules4: lans4.length > 0 ? lanRules : [],
  };
}

function withoutDevice(route: LanRoute): readonly LanRoute[] {
  if (route.via !== 'overlay') return [route];
  return isDefaultRoute(route.prefix) ? [] : [{ prefix: route.prefix, via: 'nowhere' }];
}

/**
 * Nowhere, for a daemon that has just started: the LAN prefixes behind other nodes that the one before left in the kernel, and that the
 * plan has not learned yet. Without a route their packets leave in the clear by the machine's default route; of an accepted default
 * route there is none, or it would hide that one.
 */
export function leftLans(actual: HostEntries, { device, lans }: HostPlan): readonly LanRoute[] {
  const known = new Set(lans.map(({ prefix }) => prefix.key));
  const table = ` table ${lanTable(hostTag(device))} `;
  return [...actual.routes6, ...actual.routes4]
    .filter((line) => line.includes(table) && !line.includes(' via '))
    .map((line) => parsePrefix(placeOf(line).split(' ')[0]!)!)
    .filter((prefix) => !known.has(prefix.key) && !isDefaultRoute(prefix))
    .map((prefix) => ({ prefix, via: 'nowhere' }));
}

/** "via 10.1.0.9", or "via inet6 fe80::9" of an IPv4 route. */
export function viaText(isIpv4: boolean, gateway: string): string {
  return isIpv4 && gateway.includes(':') ? `via inet6 ${gateway}` : `via ${gateway}`;
}

/** What has to be done, in order: additions before removals, so that no moment is without a route. */
export interface HostChanges {
  readonly commands6: readonly string[];
  readonly commands4: readonly string[];
}

export function hostChanges(actual: HostEntries, wanted: HostEntries): HostChanges {
  const added = (kind: keyof HostEntries) => wanted[kind].filter((line) => !actual[kind].includes(line));
  const stale = (kind: keyof HostEntries) => actual[kind].filter((line) => !wanted[kind].includes(line));
  // `replace` puts a route in the place of the one with its table, prefix and metric: that one is not removed again.
  const replaced = (kind: 'routes6' | 'routes4') => {
    const places = new Set(wanted[kind].map(placeOf));
    return stale(kind).filter((line) => !places.has(placeOf(line)));
  };
  const family = (routes: 'routes6' | 'routes4', rules: 'rules6' | 'rules4') => ({
    add: [...added(routes).map((line) => `route replace ${line}`), ...added(rules).map((line) => `rule add ${line}`)],
    remove: [...stale(rules).map((line) => `rule del ${line}`), ...replaced(routes).map((line) => `route del ${line}`)],
  });
  const six = family('routes6', 'rules6');
  const four = family('routes4', 'rules4');
  return {
    commands6: [
      // Deprecated (preferred_lft 0): never chosen as the source of a packet to somewhere else; our routes name it as theirs.
      // nodad: else it stays tentative until the kernel's next moment of leisure, and routes that name it are refused.
      ...added('addresses').map((line) => `addr replace ${line} preferred_lft 0 nodad`),
      ...six.add,
      ...six.remove,
      ...stale('addresses').map((line) => `addr del ${line}`),
    ],
    commands4: [...four.add, ...four.remove],
  };
}

function placeOf(route: string): string {
  const [, prefix, table, metric] = /^(?:unreachable |throw )?(\S+) .*table (\S+) .*metric (\S+)$/.exec(route) ?? [];
  return `${prefix} ${table} ${metric}`;
}
