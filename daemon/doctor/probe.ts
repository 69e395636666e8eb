import { execFile } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { endianness } from 'node:os';
import { promisify } from 'node:util';
import { formatIp } from '../../src/addr/ip.js';
import { MeshError } from '../../src/errors.js';
import { readLinks } from '../kernel/ip.js';
import { checkTun } from '../kernel/preflight.js';
import { readUnderlay } from '../kernel/underlay.js';
import type { DroppingChain, ListeningPort, MachineFacts } from './facts.js';

const run = promisify(execFile);
const patience = 3000;

/** Gathers what the checks need of this machine; changes nothing. `ownAddresses`: node and app addresses, as text. */
export async function probeMachine(device: string, ownAddresses: readonly string[]): Promise<MachineFacts> {
  const isOwn = (name: string) => name === device || /^weft\d+$/.test(name);
  const [underlay, links, droppingChains] = await Promise.all([readUnderlay(isOwn), readLinks(), readDroppingChains()]);
  const best = underlay.gateways[0]?.device;
  return {
    now: Date.now() / 1000,
    clockIsSynchronised: readClock(),
    addresses: underlay.addresses,
    gateways: underlay.gateways,
    underlayMtu: links.find(({ ifname }) => ifname === best)?.mtu,
    tunProblem: tunProblem(),
    sysctls: readSysctls(device),
    droppingChains,
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

function readSysctls(device: string): ReadonlyMap<string, string> {
  const names = [
    ...['all', 'lo', device].map((name) => `net/ipv6/conf/${name}/disable_ipv6`),
    'net/ipv6/conf/all/forwarding',
    'net/ipv4/conf/all/rp_filter',
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
async function readDroppingChains(): Promise<DroppingChain[] | undefined> {
  try {
    const path = `/usr/sbin:/sbin:/usr/bin:/bin`;
    const options = { timeout: patience, maxBuffer: 4 * 2 ** 20, env: { PATH: path } };
    const { stdout } = await run('nft', ['-j', 'list', 'chains'], options);
    return parseChains(stdout);
  } catch {
    return undefined;
  }
}

/** The base chains with policy drop in what `nft -j list chains` prints (libnftables-json(5)). */
export function parseChains(json: string): DroppingChain[] {
  const { nftables } = JSON.parse(json) as {
    readonly nftables: readonly { readonly chain?: DroppingChain & { readonly policy?: string } }[];
  };
  return nftables.flatMap(({ chain }) =>
    chain && chain.policy === 'drop' && (chain.hook === 'input' || chain.hook === 'forward')
      ? [{ family: chain.family, table: chain.table, name: chain.name, hook: chain.hook }]
      : [],
  );
}

function readListening(ownAddresses: readonly string[]): ListeningPort[] {
  const read = (protocol: 'tcp' | 'udp') => {
    try {
      return parseListening(readFileSync(`/proc/net/${protocol}6`, 'latin1'), protocol, ownAddresses);
    } catch {
      return []; // no IPv6
    }
  };
  return [...read('tcp'), ...read('udp')];
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
