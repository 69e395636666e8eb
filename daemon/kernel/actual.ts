import { parsePrefix } from '../../src/addr/prefix.js';
import { ipJson } from './ip.js';
import { type HostEntries, hostProtocol, lanTable, rulePriorities, viaText } from './plan.js';

interface LinkWithAddresses {
  readonly addr_info?: readonly {
    readonly local: string;
    readonly prefixlen: number;
    readonly metric?: number;
  }[];
}

interface Route {
  readonly type?: string;
  readonly dst: string;
  readonly dev?: string;
  readonly gateway?: string;
  /** An IPv4 route's IPv6 gateway. */
  readonly via?: { readonly host: string };
  readonly table?: string;
  readonly prefsrc?: string;
  readonly metric?: number;
}

interface Rule {
  readonly priority: number;
  readonly not?: null;
  readonly fwmark?: string;
  readonly table?: string;
  readonly suppress_prefixlen?: number;
  readonly protocol?: string;
}

/** What the kernel holds under this tag, in the form of plan.ts. */
export async function readHost(tag: number): Promise<HostEntries> {
  const [lo, routes6, routes4, rules6, rules4] = await Promise.all([
    ipJson<LinkWithAddresses>('-6', 'addr', 'show', 'dev', 'lo'),
    readRoutes('-6', tag),
    readRoutes('-4', tag),
    readRules('-6', tag),
    readRules('-4', tag),
  ]);
  const addresses = lo
    .flatMap((link) => link.addr_info ?? [])
    .filter((address) => address.metric === tag)
    .map((address) => `${address.local}/${address.prefixlen} dev lo metric ${tag}`);
  return { addresses, routes6, routes4, rules6, rules4 };
}

async function readRoutes(family: '-4' | '-6', tag: number): Promise<string[]> {
  const routes = await ipJson<Route>(family, 'route', 'show', 'table', 'all', 'proto', String(hostProtocol));
  const tables = [tag, lanTable(tag)].map(String);
  return routes
    .filter((route) => tables.includes(route.table ?? '') || (isMain(route) && route.metric === tag))
    .map((route) => routeText(route, family));
}

function isMain(route: Route): boolean {
  return route.table === undefined || route.table === 'main';
}

function routeText(route: Route, family: '-4' | '-6'): string {
  const any = family === '-6' ? '::/0' : '0.0.0.0/0';
  const prefix = parsePrefix(route.dst === 'default' ? any : route.dst)?.toString() ?? route.dst;
  const rest = `table ${route.table ?? 'main'} proto ${hostProtocol} metric ${route.metric ?? 0}`;
  if (route.type !== undefined && route.type !== 'unicast') return `${route.type} ${prefix} ${rest}`;
  const gateway = route.gateway ?? route.via?.host;
  if (gateway) return `${prefix} ${viaText(family === '-4', gateway)} dev ${route.dev} onlink ${rest}`;
  const source = route.prefsrc ? ` src ${route.prefsrc}` : '';
  return `${prefix} dev ${route.dev}${source} ${rest}`;
}

async function readRules(family: '-4' | '-6', tag: number): Promise<string[]> {
  const rules = await ipJson<Rule>(family, 'rule', 'show');
  return rules
    .filter((rule) => rule.protocol === String(hostProtocol) && rulePriorities(tag).includes(rule.priority))
    .map((rule) => {
      const not = rule.not === null ? 'not ' : '';
      const suppress = rule.suppress_prefixlen === undefined ? '' : ` suppress_prefixlength ${rule.suppress_prefixlen}`;
      const where = `lookup ${rule.table}${suppress} pref ${rule.priority} protocol ${hostProtocol}`;
      return `${not}fwmark ${rule.fwmark} ${where}`;
    });
}
