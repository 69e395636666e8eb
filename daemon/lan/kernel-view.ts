import { type IpBytes, parseIp } from '../../src/addr/ip.js';
import { type Prefix, parsePrefix } from '../../src/addr/prefix.js';

/** What the kernel routes without us: the networks it is connected to and its default gateways. */
export interface KernelView {
  readonly connected: readonly ConnectedNetwork[];
  readonly gateways: readonly IpBytes[];
}

export interface ConnectedNetwork {
  readonly prefix: Prefix;
  readonly device: string;
}

interface RouteRow {
  readonly dst: string;
  readonly dev?: string;
  readonly gateway?: string;
  readonly scope?: string;
  readonly protocol?: string;
}

/** Reads the output of `ip -j route show table main` of both families. */
export function parseKernelView(ipv4Json: string, ipv6Json: string): KernelView {
  const connected: ConnectedNetwork[] = [];
  const gateways: IpBytes[] = [];
  for (const json of [ipv4Json, ipv6Json]) {
    for (const row of JSON.parse(json.trim() === '' ? '[]' : json) as RouteRow[]) {
      const gateway = row.gateway === undefined ? undefined : parseIp(row.gateway);
      if (row.dst === 'default') {
        if (gateway) gateways.push(gateway);
        continue;
      }
      const prefix = parsePrefix(row.dst);
      const linkLocal = prefix && prefix.bytes[0] === 0xfe && (prefix.bytes[1]! & 0xc0) === 0x80;
      if (prefix && !gateway && !linkLocal && row.protocol === 'kernel') {
        connected.push({ prefix, device: row.dev ?? '' });
      }
    }
  }
  return { connected, gateways };
}

/**
 * Why a prefix learned from a LAN must not be routed, in words for the operator, or undefined when it may be: it would take
 * over a network this machine is connected to, or the way to its default gateway. A default route is let through: it is
 * imported only where the operator's own config says so, and every longer route of the host stays before it.
 */
export function importConflict(view: KernelView, prefix: Prefix): string | undefined {
  if (prefix.length === 0 || (prefix.isIpv4 && prefix.length === 96)) return undefined;
  const network = view.connected.find((held) => held.prefix.covers(prefix) || prefix.covers(held.prefix));
  if (network) return `${prefix} meets the connected network ${network.prefix} on ${network.device}`;
  if (view.gateways.some((gateway) => prefix.contains(gateway))) return `${prefix} holds the default gateway`;
  return undefined;
}
