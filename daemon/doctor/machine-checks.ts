import type { DoctorCheck } from '../api.js';
import { checkOf } from './check.js';
import type { DoctorFacts, ListeningPort } from './facts.js';

/** What this machine itself may lack. Each decides by facts alone. */

const synchronise = 'switch on time synchronisation';
const synchroniseBy = 'timedatectl set-ntp true';

export function checkClock({ machine: { now, clockIsSynchronised }, node }: DoctorFacts): DoctorCheck {
  const check = checkOf('clock', 'clock');
  const date = new Date(now * 1000).toISOString();
  const fault = node.clockFault;
  if (fault) return check[fault.severity](fault.message, synchronise, synchroniseBy);
  if (clockIsSynchronised === false) {
    return check.warning(`${date}, not synchronised`, synchronise, synchroniseBy);
  }
  if (clockIsSynchronised) return check.ok(`${date}, synchronised`);
  if (node.clocksCompared === 0) {
    return check.unknown(
      `${date}; the system does not say whether that is kept by the network, and no member to compare it with`,
      'compare it with a clock you trust, or ask what keeps it: "timedatectl", "chronyc tracking" or "ntpq -p"',
    );
  }
  const many =
    node.clocksCompared === 1 ? 'the only neighbour says so too' : `${node.clocksCompared} neighbours say so too`;
  return check.ok(`${date}; ${many}`);
}

export function checkTunDevice({ machine: { tunProblem }, node: { status, notRunning } }: DoctorFacts): DoctorCheck {
  const check = checkOf('tun', 'TUN device');
  const down = status.health.find(({ code }) => code === 'device-down');
  if (down) return check.error(down.message, 'set it up again', down.fix);
  if (status.tun) return check.ok(`${status.tun.name}, MTU ${status.tun.mtu}`);
  if (tunProblem) return check.error(tunProblem.message, tunProblem.cure);
  if (notRunning) return check.error(`none is open: ${notRunning.message}`, notRunning.cure);
  return check.ok('none is open yet; one can be made');
}

export function checkOffloads({ node: { status } }: DoctorFacts): DoctorCheck {
  const check = checkOf('offload', 'large packets at once');
  if (!status.tun) {
    return check.unknown(
      'no TUN is open that could be asked',
      status.node ? 'see the line on the TUN device' : 'ask again once this machine is in a network',
    );
  }
  const ways = status.fallbacks.length === 0 ? '' : `; slower ways in use: ${status.fallbacks.join(', ')}`;
  const { offload } = status.tun;
  const evidence = `offload ${offload}, cipher ${status.cipher}${ways}`;
  if (offload === 'none')
    return check.warning(evidence, 'set tun.offload = true unless it was switched off to find a fault');
  return offload === 'tcp' ? check.ok(`${evidence}; UDP too from Linux 6.2 on`) : check.ok(evidence);
}

const keepIn = 'set it, and keep it in /etc/sysctl.d/weft.conf';

export function checkIpv6({ machine: { sysctls }, node: { device, lan } }: DoctorFacts): DoctorCheck {
  const check = checkOf('ipv6', 'IPv6 of the kernel');
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
    return check.error(`${off.join(' and ')} = 1`, keepIn, `sysctl -w ${off.map((name) => `${name}=0`).join(' ')}`);
  if (sysctls.get(names[0]!) === '1') {
    return check.warning(
      `${names[0]} = 1: IPv6 is off for devices that come up later`,
      `remove it from /etc/sysctl.d, or add net.ipv6.conf.${device}.disable_ipv6 = 0`,
    );
  }
  if (lan && sysctls.get('net.ipv6.conf.all.forwarding') !== '1') {
    return check.error(
      'this node is a gateway, and the kernel does not forward IPv6',
      keepIn,
      'sysctl -w net.ipv6.conf.all.forwarding=1',
    );
  }
  return check.ok(lan ? 'on, forwarding' : 'on');
}

/** 4 MiB: 100 ms of 300 Mbit/s. */
const goodBuffer = 4 * 2 ** 20;

export function checkKernelSettings({ machine: { sysctls, defaultRoutes } }: DoctorFacts): DoctorCheck {
  const check = checkOf('kernel-settings', 'kernel settings');
  const advice: { readonly seen: string; readonly cure: string }[] = [];
  const unread: string[] = [];
  for (const name of ['net.core.rmem_max', 'net.core.wmem_max']) {
    const value = sysctls.get(name);
    if (value === undefined) unread.push(name);
    else if (Number(value) < goodBuffer) advice.push({ seen: `${name} = ${value}`, cure: `${name}=${goodBuffer}` });
  }
  const uplinks = new Set(defaultRoutes.map(({ device }) => device));
  if (uplinks.size > 1) {
    const strict = strictDevices(sysctls, [...uplinks]);
    if (strict === undefined) unread.push('net.ipv4.conf.*.rp_filter');
    for (const device of strict ?? []) {
      advice.push({
        seen: `strict rp_filter on ${device} with several uplinks`,
        cure: `net.ipv4.conf.${sysctlName(device)}.rp_filter=2`,
      });
    }
  }
  if (advice.length > 0) {
    return check.warning(
      `${advice.map(({ seen }) => seen).join(', ')}: packets may be lost`,
      keepIn,
      `sysctl -w ${advice.map(({ cure }) => cure).join(' ')}`,
    );
  }
  if (unread.length === 0) return check.ok('nothing worth changing');
  return check.unknown(
    `${unread.join(', ')} cannot be read here`,
    `look at it in the host's own network namespace: sysctl ${unread.join(' ')}`,
  );
}

/** Of these, the devices that drop what comes by another way than answers leave. The kernel takes the higher of "all" and the device's own. */
function strictDevices(sysctls: ReadonlyMap<string, string>, devices: readonly string[]): string[] | undefined {
  const value = (name: string) => sysctls.get(`net.ipv4.conf.${name}.rp_filter`);
  const all = value('all');
  if (all === undefined || devices.some((device) => value(device) === undefined)) return undefined;
  return [...new Set(devices)].filter((device) => Math.max(Number(all), Number(value(device))) === 1);
}

/** sysctl(8) writes a dot inside a device's name, as VLANs have, as a slash. */
function sysctlName(device: string): string {
  return device.replaceAll('.', '/');
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

export function checkExposure({ machine, node: { status, device, port, lan } }: DoctorFacts): DoctorCheck {
  const { listening, packetFilter, legacyTables } = machine;
  const check = checkOf('exposure', 'open to members');
  if (status.node === null) return check.ok('nothing: this machine has no address in an overlay');
  if (!listening) {
    return check.unknown('/proc/net could not be read', 'ask again as root; "ss -6lntu" shows what listens');
  }
  const unlessGateway = (evidence: string) =>
    lan
      ? check.unknown(
          `${evidence}; what members reach on the LAN behind ${lan.devices.join(', ')} was not checked`,
          'scan the LAN from another member, with nmap for instance; a rule for the forward hook closes what should not be reached',
        )
      : check.ok(evidence);
  const others = listening.filter((one) => !(one.protocol === 'udp' && one.port === port));
  if (others.length === 0) return unlessGateway('nothing listens on the addresses of the overlay');
  const verdictOf = ({ protocol, port: dport }: ListeningPort) =>
    packetFilter?.outcome('input', { family: 'ip6', iifname: device, l4proto: protocol, dport }) ?? 'passes';
  const [open, unclear, closed] = (['passes', 'unclear', 'dropped'] as const).map((verdict) =>
    others.filter((one) => verdictOf(one) === verdict),
  ) as [ListeningPort[], ListeningPort[], ListeningPort[]];
  const isFollowed = packetFilter !== undefined && !legacyTables.includes('ip6 filter');
  const evidence = [
    ...(open.length === 0 ? [] : [`every member may connect to ${listOf(open)}`]),
    ...(unclear.length === 0 ? [] : [`rules that were not followed decide who may connect to ${listOf(unclear)}`]),
    ...(closed.length === 0 ? [] : [`the packet filter closes ${listOf(closed)} to members`]),
    ...(isFollowed ? [] : ['what the packet filter stops was not followed']),
  ].join('; ');
  const remedy = `have it listen on 127.0.0.1 or on an app address only, or close it to ${device} in the firewall`;
  if (dangerousOf(open) !== '') return check.warning(`${evidence}; open is ${dangerousOf(open)}`, remedy);
  if (dangerousOf(unclear) === '') return unlessGateway(evidence);
  return check.unknown(
    `${evidence}; among what they decide is ${dangerousOf(unclear)}`,
    `try to connect from another member, "nft list ruleset" shows the rules; if it is open, ${remedy}`,
  );
}

/** Those that hand out the machine, by name. */
function dangerousOf(ports: readonly ListeningPort[]): string {
  const risky = ports.filter((one) => one.protocol === 'tcp' && dangerous.has(one.port));
  return risky.map((one) => `${dangerous.get(one.port)} (${one.port})`).join(', ');
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
