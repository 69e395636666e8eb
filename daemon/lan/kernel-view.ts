import { type IpBytes, parseIp } from '../../src/addr/ip.js';
import { Prefix, parsePrefix } from '../../src/addr/prefix.js';
import { ipJson } from '../kernel/ip.js';
import { hostProtocol } from '../kernel/plan.js';

/** What the kernel routes without us: the networks it is connected to and its default gateways. */
export interface KernelView {
  readonly connected: readonly ConnectedNetwork[];
  readonly gateways: readonly IpBytes[];
}

export interface ConnectedNetwork {
  readonly prefix: Prefix;
  readonly device: string;
}

/** Where a route leads, or a part of one that has several next hops. */
interface RouteHop {
  readonly dev?: string;
  readonly gateway?: string;
  /** A gateway of the other family. */
  readonly via?: { readonly host?: string };
  readonly flags?: readonly string[];
}

/** Of `ip -j route show table main`, what is read here. */
export interface RouteRow extends RouteHop {
  readonly dst: string;
  readonly protocol?: string;
  /** Not told where it is unicast. */
  readonly type?: string;
  /** Told of IPv4 alone, where it is not global. */
  readonly scope?: string;
  readonly nexthops?: readonly RouteHop[];
}

/** Read from the kernel now; networks of devices without a carrier are left out. */
export async function readKernelView(): Promise<KernelView> {
  const rows = await Promise.all(
    ['-4', '-6'].map((family) => ipJson<RouteRow>(family, 'route', 'show', 'table', 'main')),
  );
  return parseKernelView(rows.flat());
}

/** The same of rows already read, of both families. */
export function parseKernelView(rows: readonly RouteRow[]): KernelView {
  const connected: ConnectedNetwork[] = [];
  const gateways: IpBytes[] = [];
  for (const row of rows) {
    const hops = row.nexthops ?? [row];
    if (row.dst === 'default') {
      gateways.push(...hops.map(gatewayOf).filter((gateway) => gateway !== undefined));
      continue;
    }
    const prefix = parsePrefix(row.dst);
    if (!prefix || !isConnected(row) || isLinkLocal(prefix)) continue;
    for (const hop of hops) {
      if (hasGateway(hop) || isDead(row) || isDead(hop)) continue;
      connected.push({ prefix, device: hop.dev ?? '' });
    }
  }
  return { connected, gateways };
}

/**
 * Who wrote it says nothing: DHCP clients write the network of an address themselves, and operators what is on the link beside it. But our
 * own routes into the overlay have no gateway either.
 */
function isConnected({ protocol, type, scope }: RouteRow): boolean {
  return protocol !== String(hostProtocol) && (type ?? 'unicast') === 'unicast' && (scope ?? 'link') === 'link';
}

function hasGateway({ gateway, via }: RouteHop): boolean {
  return gateway !== undefined || via !== undefined;
}

function gatewayOf({ gateway, via }: RouteHop): IpBytes | undefined {
  const text = gateway ?? via?.host;
  return text === undefined ? undefined : parseIp(text);
}

function isDead({ flags }: RouteHop): boolean {
  return flags?.some((flag) => flag === 'linkdown' || flag === 'dead') ?? false;
}

/** Everything an imported prefix must not meet: connected networks, and default gateways as host prefixes. */
export function takenPrefixes({ connected, gateways }: KernelView): Prefix[] {
  return [...connected.map((network) => network.prefix), ...gateways.map((gateway) => new Prefix(gateway, 128))];
}

function isLinkLocal({ bytes }: Prefix): boolean {
  return bytes[0] === 0xfe && (bytes[1]! & 0xc0) === 0x80;
}
