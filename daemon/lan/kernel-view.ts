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
  /** The address packets there leave from, where the route says so. */
  readonly prefsrc?: string;
  /** Told of IPv4 alone, where it is not global. */
  readonly scope?: string;
  readonly nexthops?: readonly RouteHop[];
}

/** Read from the kernel now; networks of devices without a carrier are left out. `lans`: the devices of `[[babel.interface]]`. */
export async function readKernelView(lans: ReadonlySet<string>): Promise<KernelView> {
  const rows = await Promise.all(
    ['-4', '-6'].map((family) => ipJson<RouteRow>(family, 'route', 'show', 'table', 'main')),
  );
  return parseKernelView(rows.flat(), lans);
}

/** The same of rows already read, of both families. */
export function parseKernelView(rows: readonly RouteRow[], lans: ReadonlySet<string>): KernelView {
  const connected: ConnectedNetwork[] = [];
  const gateways: IpBytes[] = [];
  for (const row of rows) {
    const hops = row.nexthops ?? [row];
    if (row.dst === 'default') {
      gateways.push(...hops.map(gatewayOf).filter((gateway) => gateway !== undefined));
      continue;
    }
    const prefix = parsePrefix(row.dst);
    if (!prefix || !mayBeConnected(row) || isLinkLocal(prefix)) continue;
    const isByAddress = isOfAddress(row, prefix);
    for (const hop of hops) {
      if (hasGateway(hop) || isDead(row) || isDead(hop)) continue;
      const device = hop.dev ?? '';
      if (isByAddress || lans.has(device)) connected.push({ prefix, device });
    }
  }
  return { connected, gateways };
}

/** Our own routes into the overlay have no gateway either. */
function mayBeConnected({ protocol, type, scope }: RouteRow): boolean {
  return protocol !== String(hostProtocol) && (type ?? 'unicast') === 'unicast' && (scope ?? 'link') === 'link';
}

/**
 * The network of an address: by the kernel, by an advertisement, or by a DHCP client, which names the address. A VPN needs no gateway to
 * lead anywhere (0.0.0.0/1 and 128.0.0.0/1 to all there is), so of others only what operators wrote of their LANs is on the link.
 */
function isOfAddress({ protocol, prefsrc }: RouteRow, prefix: Prefix): boolean {
  if (protocol === 'kernel' || protocol === 'ra') return true;
  const address = prefsrc === undefined ? undefined : parseIp(prefsrc);
  return address !== undefined && prefix.contains(address);
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

/** Those of these devices, without what is part of another of its device, as the host route to a DHCP server is. */
export function networksOf({ connected }: KernelView, devices: ReadonlySet<string>): Prefix[] {
  const isPart = ({ prefix, device }: ConnectedNetwork) =>
    connected.some((other) => other.device === device && isWithin(prefix, other.prefix));
  return connected.filter((one) => devices.has(one.device) && !isPart(one)).map(({ prefix }) => prefix);
}

function isWithin(part: Prefix, whole: Prefix): boolean {
  return part.isIpv4 === whole.isIpv4 && part.length > whole.length && whole.covers(part);
}

function isLinkLocal({ bytes }: Prefix): boolean {
  return bytes[0] === 0xfe && (bytes[1]! & 0xc0) === 0x80;
}
