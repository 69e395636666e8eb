import { type IpBytes, parseIp } from '../../src/addr/ip.js';
import { Prefix, parsePrefix } from '../../src/addr/prefix.js';
import { ipJson } from '../kernel/ip.js';

/** What the kernel routes without us: the networks it is connected to and its default gateways. */
export interface KernelView {
  readonly connected: readonly ConnectedNetwork[];
  readonly gateways: readonly IpBytes[];
}

export interface ConnectedNetwork {
  readonly prefix: Prefix;
  readonly device: string;
}

/** Of `ip -j route show table main`, what is read here. */
export interface RouteRow {
  readonly dst: string;
  readonly dev?: string;
  readonly gateway?: string;
  readonly protocol?: string;
  readonly flags?: readonly string[];
}

/** Connected networks come from an address of ours or from a router's advertisement. */
const connectedBy = ['kernel', 'ra'];

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
    const gateway = row.gateway === undefined ? undefined : parseIp(row.gateway);
    if (row.dst === 'default') {
      if (gateway) gateways.push(gateway);
      continue;
    }
    const prefix = parsePrefix(row.dst);
    const isDead = row.flags?.some((flag) => flag === 'linkdown' || flag === 'dead') ?? false;
    if (!prefix || gateway || isDead || isLinkLocal(prefix) || !connectedBy.includes(row.protocol ?? '')) continue;
    connected.push({ prefix, device: row.dev ?? '' });
  }
  return { connected, gateways };
}

/** Everything an imported prefix must not meet: connected networks, and default gateways as host prefixes. */
export function takenPrefixes({ connected, gateways }: KernelView): Prefix[] {
  return [...connected.map((network) => network.prefix), ...gateways.map((gateway) => new Prefix(gateway, 128))];
}

function isLinkLocal({ bytes }: Prefix): boolean {
  return bytes[0] === 0xfe && (bytes[1]! & 0xc0) === 0x80;
}
