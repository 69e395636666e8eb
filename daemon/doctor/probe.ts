import { execFile } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { endianness } from 'node:os';
import { promisify } from 'node:util';
import { formatIp } from '../../src/addr/ip.js';
import { MeshError } from '../../src/errors.js';
import { readLinks } from '../kernel/ip.js';
import { checkTun } from '../kernel/preflight.js';
import { readUnderlay } from '../kernel/underlay.js';
import type { ListeningPort, MachineFacts } from './facts.js';
import { PacketFilter } from './packet-filter.js';

const run = promisify(execFile);
const patience = 3000;

/** Gathers what the checks need of this machine; changes nothing. `ownAddresses`: node and app addresses, as text. */
export async function probeMachine(device: string, ownAddresses: readonly string[]): Promise<MachineFacts> {
  const isOwn = (name: string) => name === device || /^weft\d+$/.test(name);
  const [underlay, links, packetFilter] = await Promise.all([readUnderlay(isOwn), readLinks(), readPacketFilter()]);
  const best = underlay.defaultRoutes[0]?.device;
  return {
    now: Date.now() / 1000,
    clockIsSynchronised: readClock(),
    addresses: underlay.addresses,
    defaultRoutes: underlay.defaultRoutes,
    underlayMtu: links.find(({ ifname }) => ifname === best)?.mtu,
    tunProblem: tunProblem(),
    sysctls: readSysctls(
      device,
      underlay.defaultRoutes.map((route) => route.device),
    ),
    packetFilter,
    legacyTables: [...readLegacyTables('ip'), ...readLegacyTables('ip6')],
    hasDocker: links.some(({ ifname }) => ifname === 'docker0'),
    listening: readListening(ownAddresses),
  };
}

/** systemd-timesyncd, and other services since systemd 247, leave this file when the clock is right. */
function readClock(): boolean | undefined {
  if (existsSync('/run/systemd/timesync/synchronized')) return true;
  return existsSync('/run/systemd/timesync') ? false : undefined;
}

function tunProblem(): MachineFacts['tunProblem'] {
  try {
    checkTun();
    return undefined;
  } catch (error) {
    if (!(error instanceof MeshError)) throw error;
    return { message: error.message, cure: error.cure };
  }
}

function readSysctls(device: string, uplinks: readonly string[]): ReadonlyMap<string, string> {
  const names = [
    ...['all', 'lo', device].map((name) => `net/ipv6/conf/${name}/disable_ipv6`),
    'net/ipv6/conf/all/forwarding',
    ...['all', ...uplinks].map((name) => `net/ipv4/conf/${name}/rp_filter`),
    'net/core/rmem_max',
    'net/core/wmem_max',
  ];
  const found = new Map<string, string>();
  for (const name of names) {
    try {
      found.set(name.replaceAll('/', '.'), readFileSync(`/proc/sys/${name}`, 'utf8').trim());
    } catch {
      // not there: a kernel without IPv6, or another network namespace
    }
  }
  return found;
}

/** Undefined where nft is missing or refuses. Docker's and ufw's iptables rules are nftables chains too on current systems. */
async function readPacketFilter(): Promise<PacketFilter | undefined> {
  try {
    const path = `/usr/sbin:/sbin:/usr/bin:/bin`;
    const options = { timeout: patience, maxBuffer: 64 * 2 ** 20, env: { PATH: path } };
    const { stdout } = await run('nft', ['-j', 'list', 'ruleset'], options);
    return PacketFilter.parse(stdout);
  } catch {
    return undefined;
  }
}

/** What the kernel says of iptables' own tables, in this network namespace; one a line, none where nobody uses them. */
function readLegacyTables(family: 'ip' | 'ip6'): string[] {
  try {
    return parseLegacyTables(readFileSync(`/proc/net/${family}_tables_names`, 'latin1'), family);
  } catch {
    return []; // the kernel has none; who may not read it may not ask nft either
  }
}

export function parseLegacyTables(names: string, family: 'ip' | 'ip6'): string[] {
  return names.split('\n').flatMap((name) => (name === '' ? [] : `${family} ${name}`));
}

function readListening(ownAddresses: readonly string[]): ListeningPort[] | undefined {
  const read = (protocol: 'tcp' | 'udp') => {
    try {
      return parseListening(readFileSync(`/proc/net/${protocol}6`, 'latin1'), protocol, ownAddresses);
    } catch (error) {
      return (error as NodeJS.ErrnoException).code === 'ENOENT' ? [] : undefined; // no IPv6; or /proc is closed to us
    }
  };
  const [tcp, udp] = [read('tcp'), read('udp')];
  return tcp && udp && [...tcp, ...udp];
}

/**
 * Sockets of /proc/net/tcp6 or udp6 (proc(5)) that wait for anybody, on "::" or one of our addresses, each port once, sorted.
 * Addresses there are four words of 32 bits in host byte order.
 */
export function parseListening(
  table: string,
  protocol: 'tcp' | 'udp',
  ownAddresses: readonly string[],
): ListeningPort[] {
  const waiting = protocol === 'tcp' ? '0A' : '07';
  const ports = new Set<number>();
  for (const line of table.split('\n').slice(1)) {
    const [, local = '', , state] = line.trim().split(/\s+/);
    const [words = '', port = ''] = local.split(':');
    if (state !== waiting || words.length !== 32) continue;
    const octets = Buffer.from(words, 'hex');
    const address = formatIp(new Uint8Array(endianness() === 'LE' ? octets.swap32() : octets));
    if (address === '::' || ownAddresses.includes(address)) ports.add(Number.parseInt(port, 16));
  }
  return [...ports].sort((a, b) => a - b).map((port) => ({ protocol, port }));
}
