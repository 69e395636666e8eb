import { readFileSync } from 'node:fs';
import { networkInterfaces } from 'node:os';
import { type IpBytes, parseIp } from '../../src/addr/ip.js';

/** A kernel interface on which Babel can be spoken now: it is up, runs, and has a link-local address. */
export interface LanDevice {
  readonly name: string;
  readonly index: number;
  readonly linkLocal: IpBytes;
  /** Its IPv4 address, the next hop we give for IPv4 prefixes; undefined makes them v4-via-v6 (RFC 9229). */
  readonly ipv4: IpBytes | undefined;
  readonly mtu: number;
}

const smallestMtu = 512 + 48;

/** What this interface is at the moment, or undefined while Babel cannot be spoken on it. */
export function readLanDevice(name: string): LanDevice | undefined {
  const addresses = networkInterfaces()[name] ?? [];
  const local = addresses.find((entry) => entry.family === 'IPv6' && /^fe[89ab]/.test(entry.address));
  const linkLocal = local && parseIp(local.address);
  if (!linkLocal || local.family !== 'IPv6') return undefined;
  const ipv4 = addresses.find((entry) => entry.family === 'IPv4');
  return {
    name,
    index: local.scopeid,
    linkLocal,
    ipv4: ipv4 && parseIp(ipv4.address),
    mtu: Math.max(smallestMtu, readMtu(name)),
  };
}

/** From /proc, since /sys shows the network namespace it was mounted in. */
function readMtu(name: string): number {
  try {
    return Number(readFileSync(`/proc/sys/net/ipv6/conf/${name}/mtu`, 'utf8'));
  } catch {
    return 1280; // it went away meanwhile; the next look says so
  }
}

export function sameDevice(a: LanDevice | undefined, b: LanDevice | undefined): boolean {
  const words = (device: LanDevice | undefined) =>
    device && [device.index, device.mtu, device.linkLocal.join(), device.ipv4?.join() ?? ''].join(' ');
  return words(a) === words(b);
}
