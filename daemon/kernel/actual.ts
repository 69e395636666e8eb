import { parsePrefix } from '../../src/addr/prefix.js';
import { ipJsonBatch, type Link } from './ip.js';
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
  return (await readKernel(tag)).entries;
}

/** The same, and all devices. */
export async function readKernel(tag: number): Promise<{ readonly entries: HostEntries; readonly links: Link[] }> {
  const routes = `route show table all proto ${hostProtocol}`;
  const [six, four] = await Promise.all([
    // The devices last: in one batch `ip` forgets the family behind them.
    ipJsonBatch('-6', ['addr show dev lo', routes, 'rule show', 'link show']),
    ipJsonBatch('-4', [routes, 'rule show']),
  ]);
  const addresses = (six[0] as LinkWithAddresses[])
    .flatMap((link) => link.addr_info ?? [])
    .filter((address) => address.metric === tag)
    .map((address) => `${address.local}/${address.prefixlen} dev lo metric ${tag}`);
  const entries = {
    addresses,
    routes6: routeTexts(six[1] as Route[], '-6', tag),
    routes4: routeTexts(four[0] as Route[], '-4', tag),
    rules6: ruleTexts(six[2] as Rule[], tag),
    rules4: ruleTexts(four[1] as Rule[], tag),
  };
  return { entries, links: six[3] as Link[] };
}

function routeTexts(routes: readonly Route[], family: '-4' | '-6', tag: number): string[] {
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

function ruleTexts(rules: readonly Rule[], tag: number): string[] {
  return rules
    .filter((rule) => rule.protocol === String(hostProtocol) && rulePriorities(tag).includes(rule.priority))
    .map((rule) => {
      const not = rule.not === null ? 'not ' : '';
      const suppress = rule.suppress_prefixlen === undefined ? '' : ` suppress_prefixlength ${rule.suppress_prefixlen}`;
      const where = `lookup ${rule.table}${suppress} pref ${rule.priority} protocol ${hostProtocol}`;
      return `${not}fwmark ${rule.fwmark} ${where}`;
    });
}
