import { formatIp, parseIp } from '../../src/addr/ip.js';
import type { Prefix } from '../../src/addr/prefix.js';

/**
 * What the kernel is to hold for one network, as pure data (DESIGN section 3, On the host).
 *
 *     lo            node and app addresses, /128: apps keep them while weftd restarts
 *     rule          packets without our mark look in the network's own table first
 *     own table     network prefix -> weft0, src = node address; LAN prefixes -> weft0 or a LAN router;
 *                   own /64 -> throw, so that the operator's routes inside it (containers, a LAN) are found in main
 *     main table    network prefix, own /64 -> unreachable: nothing leaks to the default route, for marked packets and
 *                   while weft0 is away; nothing loops kernel-TUN-kernel
 *
 * All of it carries the network's tag, so it can be told from everything else on the host without any record on disk:
 * addresses by their metric, routes by protocol and table or metric, the rule by its table.
 */
export interface HostPlan {
  readonly device: string;
  readonly mtu: number;
  /** SO_MARK of the outer sockets. */
  readonly mark: number;
  readonly network: Prefix;
  /** The node's own /64. */
  readonly own: Prefix;
  /** Canonical text (RFC 5952), as all addresses here. */
  readonly node: string;
  readonly apps: readonly string[];
  readonly routes: readonly HostRoute[];
}

/** A LAN prefix: behind another node, or behind a Babel router on one of our LANs. Either family. */
export interface HostRoute {
  readonly prefix: Prefix;
  readonly via: 'overlay' | { readonly gateway: string; readonly device: string };
}

/** `proto` of all our routes and rules in the kernel; a number that /etc/iproute2/rt_protos leaves free. */
export const routeProtocol = 119;

/** SO_MARK of the outer sockets of every weft network on a host: none of them travels through any of the overlays. */
export const outerMark = 0x77656674;

/** Our routes in the own table; any value, but always the same, since the kernel tells routes apart by it. */
const routeMetric = 1024;

const firstTag = 16696;

/** The number of a network on this host: table, rule priority, metric of its addresses. weft0 has 16696, weft1 16697. */
export function hostTag(device: string): number {
  const numbered = /^weft(\d{1,3})$/.exec(device);
  if (numbered) return firstTag + Number(numbered[1]);
  let hash = 0;
  for (const character of device) hash = (hash * 31 + character.charCodeAt(0)) % 8000;
  return firstTag + 1000 + hash;
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

export function planEntries(plan: HostPlan): HostEntries {
  const tag = hostTag(plan.device);
  const own = `table ${tag} proto ${routeProtocol} metric ${routeMetric}`;
  const main = `table main proto ${routeProtocol} metric ${tag}`;
  const lanRoutes = (ipv4: boolean) =>
    plan.routes
      .filter((route) => route.prefix.isIpv4 === ipv4)
      .map(({ prefix, via }) => {
        if (via === 'overlay') return `${prefix} dev ${plan.device}${ipv4 ? '' : ` src ${plan.node}`} ${own}`;
        return `${prefix} via ${gatewayText(via.gateway, ipv4)} dev ${via.device} ${own}`;
      });
  const rule = `not fwmark 0x${plan.mark.toString(16)} lookup ${tag} pref ${tag} protocol ${routeProtocol}`;
  const routes4 = lanRoutes(true);
  return {
    addresses: [plan.node, ...plan.apps].map((address) => `${address}/128 dev lo metric ${tag}`),
    routes6: [
      `unreachable ${plan.network} ${main}`,
      `unreachable ${plan.own} ${main}`,
      `throw ${plan.own} ${own}`,
      `${plan.network} dev ${plan.device} src ${plan.node} ${own}`,
      ...lanRoutes(false),
    ],
    routes4,
    rules6: [rule],
    rules4: routes4.length > 0 ? [rule] : [],
  };
}

function gatewayText(gateway: string, ipv4: boolean): string {
  const bytes = parseIp(gateway);
  const text = bytes ? formatIp(bytes) : gateway;
  return ipv4 && text.includes(':') ? `inet6 ${text}` : text;
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
