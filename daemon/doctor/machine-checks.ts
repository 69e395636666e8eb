import type { DoctorCheck } from '../api.js';
import { checkOf, counted } from './check.js';
import type { DoctorFacts, ListeningPort } from './facts.js';

/** What this machine itself may lack. Each decides by facts alone. */

export function checkClock({ machine: { now, clockIsSynchronised }, node }: DoctorFacts): DoctorCheck {
  const check = checkOf('clock', 'clock');
  const date = new Date(now * 1000).toISOString();
  const fault = node.clockFault;
  if (fault) return check[fault.severity](fault.message, fault.fix);
  if (clockIsSynchronised === false) {
    return check.warning(`${date}, not synchronised`, 'switch on time synchronisation: timedatectl set-ntp true');
  }
  return check.ok(clockIsSynchronised ? `${date}, synchronised` : `${date}, as far as members can tell`);
}

export function checkTunDevice({ machine: { tunProblem }, node: { status } }: DoctorFacts): DoctorCheck {
  const check = checkOf('tun', 'TUN device');
  if (status.tun) return check.ok(`${status.tun.name}, MTU ${status.tun.mtu}`);
  if (!tunProblem && !status.node) return check.ok('none is open yet; one can be made');
  return tunProblem ? check.error(tunProblem.message, tunProblem.cure) : check.error('none is open', 'restart weftd');
}

export function checkOffloads({ node: { status } }: DoctorFacts): DoctorCheck {
  const check = checkOf('offload', 'large packets at once');
  const ways = status.fallbacks.length === 0 ? '' : `; slower ways in use: ${status.fallbacks.join(', ')}`;
  const offload = status.tun?.offload ?? 'none';
  const evidence = `offload ${offload}, cipher ${status.cipher}${ways}`;
  if (offload === 'none')
    return check.warning(evidence, 'set tun.offload = true unless it was switched off to find a fault');
  return offload === 'tcp' ? check.ok(`${evidence}; UDP too from Linux 6.2 on`) : check.ok(evidence);
}

export function checkIpv6({ machine: { sysctls }, node: { status, isGateway } }: DoctorFacts): DoctorCheck {
  const check = checkOf('ipv6', 'IPv6 of the kernel');
  const device = status.tun?.name ?? 'weft0';
  const names = ['all', 'lo', device].map((name) => `net.ipv6.conf.${name}.disable_ipv6`);
  if (!sysctls.has(names[0]!)) {
    return check.error(
      'the kernel runs without IPv6',
      'remove ipv6.disable=1 from the kernel command line and restart',
    );
  }
  // "all" only matters for devices that come later: what counts is ours.
  const off = names.slice(1).filter((name) => sysctls.get(name) === '1');
  if (off.length > 0)
    return check.error(`${off.join(' and ')} = 1`, `sysctl -w ${off.map((name) => `${name}=0`).join(' ')}`);
  if (sysctls.get(names[0]!) === '1') {
    return check.warning(
      `${names[0]} = 1: IPv6 is off for devices that come up later`,
      `remove it from /etc/sysctl.d, or add net.ipv6.conf.${device}.disable_ipv6 = 0`,
    );
  }
  if (isGateway && sysctls.get('net.ipv6.conf.all.forwarding') !== '1') {
    return check.error(
      'this node is a gateway, and the kernel does not forward IPv6',
      'sysctl -w net.ipv6.conf.all.forwarding=1',
    );
  }
  return check.ok(isGateway ? 'on, forwarding' : 'on');
}

export function checkFirewall({ machine: { droppingChains, hasDocker }, node }: DoctorFacts): DoctorCheck {
  const check = checkOf('firewall', 'packet filter');
  if (droppingChains === undefined)
    return check.unknown('nft is not installed or may not be asked', 'apt install nftables, and ask again as root');
  const device = node.status.tun?.name ?? 'weft0';
  const named = (hook: 'input' | 'forward', families: readonly string[]) =>
    droppingChains
      .filter((chain) => chain.hook === hook && families.includes(chain.family))
      .map(({ family, table, name }) => `${family} ${table} ${name}`);
  const forward = named('forward', ['ip6', 'inet']);
  if (node.isGateway && forward.length > 0) {
    const docker = hasDocker ? ' (Docker sets this policy)' : '';
    const chain = hasDocker ? 'DOCKER-USER' : 'FORWARD';
    return check.error(
      `forwarding is dropped by default in ${forward.join(', ')}${docker}: packets between the LAN and the overlay may not pass`,
      `ip6tables -I ${chain} -i ${device} -j ACCEPT; ip6tables -I ${chain} -o ${device} -j ACCEPT`,
    );
  }
  const input = named('input', ['ip', 'inet']);
  const isProven = node.status.endpoints.some(({ proven }) => proven);
  if (input.length > 0 && !isProven) {
    return check.warning(
      `what no rule accepts is dropped in ${input.join(', ')}, and no endpoint is proven`,
      `if no rule does yet, accept UDP port ${node.port}: nft insert rule ${input[0]} udp dport ${node.port} accept`,
    );
  }
  const chains =
    droppingChains.length === 0
      ? 'no chain drops by default'
      : `${counted(droppingChains.length, 'chain')} drop by default, none in our way`;
  return check.ok(chains);
}

/** 4 MiB: 100 ms of 300 Mbit/s. */
const goodBuffer = 4 * 2 ** 20;

export function checkKernelSettings({ machine: { sysctls, gateways } }: DoctorFacts): DoctorCheck {
  const check = checkOf('kernel-settings', 'kernel settings');
  const advice: { readonly seen: string; readonly cure: string }[] = [];
  for (const name of ['net.core.rmem_max', 'net.core.wmem_max']) {
    const value = Number(sysctls.get(name) ?? goodBuffer);
    if (value < goodBuffer) advice.push({ seen: `${name} = ${value}`, cure: `${name}=${goodBuffer}` });
  }
  const strict = sysctls.get('net.ipv4.conf.all.rp_filter') === '1';
  if (strict && gateways.length > 1) {
    advice.push({ seen: 'strict rp_filter with several uplinks', cure: 'net.ipv4.conf.all.rp_filter=2' });
  }
  if (advice.length === 0) return check.ok('nothing worth changing');
  return check.warning(
    `${advice.map(({ seen }) => seen).join(', ')}: bursts may be lost on fast lines`,
    `sysctl -w ${advice.map(({ cure }) => cure).join(' ')}; keep it in /etc/sysctl.d/weft.conf`,
  );
}

/** Ports that hand out a machine to whoever reaches them without asking for more. */
const dangerous: ReadonlyMap<number, string> = new Map([
  [23, 'telnet'],
  [2375, 'Docker without TLS'],
  [3306, 'MySQL'],
  [5432, 'PostgreSQL'],
  [5900, 'VNC'],
  [6379, 'Redis'],
  [9200, 'Elasticsearch'],
  [11211, 'memcached'],
  [27017, 'MongoDB'],
]);

export function checkExposure({ machine: { listening }, node: { status, port } }: DoctorFacts): DoctorCheck {
  const check = checkOf('exposure', 'open to members');
  const open = listening.filter((one) => !(one.protocol === 'udp' && one.port === port));
  if (status.node === null || open.length === 0) return check.ok('nothing listens on the addresses of the overlay');
  const risky = open.filter((one) => one.protocol === 'tcp' && dangerous.has(one.port));
  const list = listOf(open);
  if (risky.length === 0) return check.ok(`every member may connect to ${list}`);
  const named = risky.map((one) => `${dangerous.get(one.port)} (${one.port})`).join(', ');
  return check.warning(
    `every member may connect to ${list}; among them ${named}`,
    'have it listen on 127.0.0.1 or on an app address only, or close it to weft0 in the firewall',
  );
}

function listOf(ports: readonly ListeningPort[]): string {
  const of = (protocol: 'tcp' | 'udp') => {
    const numbers = ports.filter((one) => one.protocol === protocol).map((one) => one.port);
    if (numbers.length === 0) return [];
    const more = numbers.length > 12 ? ` and ${numbers.length - 12} more` : '';
    return [`${protocol.toUpperCase()} ${numbers.slice(0, 12).join(', ')}${more}`];
  };
  return [...of('tcp'), ...of('udp')].join('; ');
}
