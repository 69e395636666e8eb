import type { CarrierSpec, HomeSpec, HostSpec, Internet, LineSpec, RouterSpec } from './description.js';
import { routerRules } from './nat.js';
import type { WireConditions } from './wire.js';

/** Everything a world is made of, as plain data: what `World.build` then asks of the kernel. */
export interface Plan {
  readonly machines: readonly MachinePlan[];
  readonly wires: readonly WirePlan[];
}

export interface MachinePlan {
  /** Unique in the world; the namespace is named prefix ‖ label. */
  readonly label: string;
  /** The name in the description. */
  readonly name: string;
  readonly role: 'core' | 'host' | 'member' | 'router';
  /** A router's description. */
  readonly router?: RouterSpec;
  /** The home (or carrier) a member belongs to. */
  readonly home?: string;
  /** The IPv4 addresses of a host or member; of a router, the outer one. */
  readonly addresses: readonly string[];
  readonly ipv6?: string;
  readonly sysctls: readonly string[];
  /** Lines for `ip -batch`, inside. */
  readonly ip: readonly string[];
  /** An nftables script, may be empty. */
  readonly nft: string;
}

export interface WirePlan {
  /** The host or home whose line it is, or the member of a LAN. */
  readonly name: string;
  readonly kind: 'line' | 'lan';
  readonly near: { readonly label: string; readonly device: string };
  readonly far: { readonly label: string; readonly device: string };
  readonly conditions: WireConditions;
}

const core = 'core';
/** Where the kernel has br_netfilter, bridged frames would pass the router's rules: a switch has none. */
const plainBridge = ['iptables', 'ip6tables', 'arptables'].map((table) => `net.bridge.bridge-nf-call-${table}=0`);
const forwarding = ['net.ipv4.ip_forward=1', 'net.ipv6.conf.all.forwarding=1'];

/**
 * Gives every machine its devices and addresses.
 *
 * ```
 *   core 11.0.i.1 ── 11.0.i.2 host
 *   core 11.0.i.1 ── 11.0.i.2 router 192.168.1.1 ── 192.168.1.10… members
 *   host 11.128.j.1 ── 11.128.j.2 host
 *   core 11.0.i.1 ── 11.0.i.2 carrier 100.64.0.1 ── 100.64.0.10… router 192.168.1.1 ── members
 * ```
 * The outer addresses look public because miniupnpd refuses documentation and private ranges.
 */
export function plan(internet: Internet): Plan {
  const machines: MachinePlan[] = [];
  const wires: WirePlan[] = [];
  const coreIp: string[] = [];
  const ports = new Map<string, string[]>();
  const customers = new Map<string, number>();
  /** Of each host, what its lines give it. */
  const lines = new Map<string, readonly { address: string; ip: readonly string[] }[]>();
  let uplinks = 0;
  let linesMade = 0;

  const uplink = (name: string, near: WirePlan['near'], conditions: WireConditions) => {
    const number = ++uplinks;
    if (number > 250) throw new Error('a world has room for 250 lines to the Internet');
    const device = `u${number}`;
    coreIp.push(`addr add 11.0.${number}.1/24 dev ${device}`, `addr add ${outer6(number)}1/64 dev ${device}`);
    coreIp.push(`link set ${device} up`, `route add ${inner6(number)}/64 via ${outer6(number)}2`);
    wires.push({ name, kind: 'line', near, far: { label: core, device }, conditions });
    return { net: `11.0.${number}`, number };
  };

  const addHost = (name: string, spec: HostSpec) => {
    if (!spec.online) {
      machines.push({ label: name, name, role: 'host', addresses: [], sysctls: [], ip: [], nft: '' });
      return;
    }
    const { net, number } = uplink(name, { label: name, device: 'eth0' }, spec.wire);
    const addresses = Array.from({ length: spec.addresses }, (_, i) => `${net}.${2 + i}`);
    machines.push({
      label: name,
      name,
      role: 'host',
      addresses,
      ...(spec.ipv6 && { ipv6: `${outer6(number)}2` }),
      sysctls: [],
      ip: [
        ...machine('eth0', addresses, `${net}.1`),
        ...(spec.ipv6 ? machine6('eth0', `${outer6(number)}2`, `${outer6(number)}1`) : []),
      ],
      nft: '',
    });
  };

  /** Gives the number of its line to the Internet; undefined behind a carrier. */
  const addRouter = (name: string, spec: HomeSpec | CarrierSpec, inside: string): number | undefined => {
    const label = routerLabel(name);
    const above = spec.type === 'home' ? spec.behind : undefined;
    let net: string;
    let external: string;
    let line: number | undefined;
    if (above === undefined) {
      ({ net, number: line } = uplink(name, { label, device: 'wan' }, spec.wire));
      external = `${net}.2`;
    } else {
      const outer = internet[above];
      if (outer?.type !== 'carrier') throw new Error(`${name} is behind ${above}, which is no carrier`);
      net = lanOf(outer);
      const number = customers.get(above) ?? 0;
      customers.set(above, number + 1);
      external = `${net}.${10 + number}`;
      wires.push({
        name,
        kind: 'line',
        near: { label, device: 'wan' },
        far: port(ports, above),
        conditions: spec.wire,
      });
    }
    const timeout = spec.timeout ?? 120;
    machines.push({
      label,
      name,
      role: 'router',
      router: spec,
      addresses: [external],
      sysctls: [
        ...forwarding,
        ...plainBridge,
        `net.netfilter.nf_conntrack_udp_timeout=${timeout}`,
        `net.netfilter.nf_conntrack_udp_timeout_stream=${timeout}`,
      ],
      ip: [
        'link add lan type bridge',
        `addr add ${inside}.1/24 dev lan`,
        'link set lan up',
        ...machine('wan', [external], `${net}.1`),
        ...(spec.ipv6 && line !== undefined
          ? [`addr add ${inner6(line)}1/64 dev lan`, ...machine6('wan', `${outer6(line)}2`, `${outer6(line)}1`)]
          : []),
      ],
      nft: routerRules(spec, external),
    });
    return line;
  };

  const addHome = (name: string, spec: HomeSpec) => {
    const inside = lanOf(spec);
    const line = addRouter(name, spec, inside);
    (spec.members ?? [name]).forEach((member, i) => {
      const address = `${inside}.${10 + i}`;
      const ipv6 = spec.ipv6 && line !== undefined ? `${inner6(line)}${10 + i}` : undefined;
      machines.push({
        label: member,
        name: member,
        role: 'member',
        home: name,
        addresses: [address],
        ...(ipv6 && { ipv6 }),
        sysctls: [],
        ip: [
          ...machine('eth0', [address], `${inside}.1`),
          ...(ipv6 ? machine6('eth0', ipv6, `${inner6(line!)}1`) : []),
        ],
        nft: '',
      });
      wires.push({
        name: member,
        kind: 'lan',
        near: { label: member, device: 'eth0' },
        far: port(ports, name),
        conditions: spec.lanWire,
      });
    });
  };

  const addLine = (name: string, { between, wire }: LineSpec) => {
    const number = linesMade++;
    const device = `line${number}`;
    const [near, far] = between.map((label, i) => {
      if (internet[label]?.type !== 'host') throw new Error(`${name} ends at ${label}, which is no public host`);
      const address = `11.128.${number}.${1 + i}`;
      const setUp = lines.get(label) ?? [];
      lines.set(label, [...setUp, { address, ip: [`addr add ${address}/24 dev ${device}`, `link set ${device} up`] }]);
      return { label, device };
    });
    wires.push({ name, kind: 'line', near: near!, far: far!, conditions: wire });
  };

  for (const [name, spec] of Object.entries(internet)) {
    if (spec.type === 'host') addHost(name, spec);
    else if (spec.type === 'line') addLine(name, spec);
    else if (spec.type === 'carrier') addRouter(name, spec, lanOf(spec));
    else addHome(name, spec);
  }

  machines.push({
    label: core,
    name: core,
    role: 'core',
    addresses: [],
    sysctls: forwarding,
    ip: coreIp,
    nft: coreRules,
  });
  checkNames(machines);
  return {
    machines: machines.map((each) => {
      const own = each.role === 'router' ? (ports.get(each.name) ?? []) : [];
      const attach = own.flatMap((device) => [`link set ${device} master lan`, `link set ${device} up`]);
      const ends = lines.get(each.label) ?? [];
      return {
        ...each,
        addresses: [...each.addresses, ...ends.map(({ address }) => address)],
        ip: ['link set lo up', ...each.ip, ...attach, ...ends.flatMap(({ ip }) => ip)],
      };
    }),
    wires,
  };
}

function routerLabel(home: string): string {
  return `${home}.r`;
}

/** Private addresses do not travel; pairs of addresses may be kept apart, for UDP alone or for everything. */
const coreRules = `
table ip paths {
  set apart { type ipv4_addr . ipv4_addr; }
  set apart_udp { type ipv4_addr . ipv4_addr; }
  chain forward {
    type filter hook forward priority 0; policy accept;
    ip saddr { 10.0.0.0/8, 100.64.0.0/10, 172.16.0.0/12, 192.168.0.0/16 } drop
    ip daddr { 10.0.0.0/8, 100.64.0.0/10, 172.16.0.0/12, 192.168.0.0/16 } drop
    ip saddr . ip daddr @apart drop
    meta l4proto udp ip saddr . ip daddr @apart_udp drop
  }
}
`;

function machine(device: string, addresses: readonly string[], gateway: string): string[] {
  return [
    ...addresses.map((address) => `addr add ${address}/24 dev ${device}`),
    `link set ${device} up`,
    `route add default via ${gateway}`,
  ];
}

/** The IPv6 network of a line to the Internet, and the one routed to the LAN behind it; an interface part follows. */
const outer6 = (line: number) => `2a0b:0:${line.toString(16)}::`;
const inner6 = (line: number) => `2a0b:1:${line.toString(16)}::`;

function machine6(device: string, address: string, gateway: string): string[] {
  return [`addr add ${address}/64 dev ${device}`, `route add default via ${gateway}`];
}

/** The network inside a router, without its last octet. */
function lanOf(spec: HomeSpec | CarrierSpec): string {
  const lan = spec.lan ?? (spec.type === 'home' ? '192.168.1.0' : '100.64.0.0');
  return lan.replace(/\.0$/, '');
}

function port(ports: Map<string, string[]>, router: string): WirePlan['far'] {
  const list = ports.get(router) ?? [];
  ports.set(router, list);
  const device = `port${list.length}`;
  list.push(device);
  return { label: routerLabel(router), device };
}

function checkNames(machines: readonly MachinePlan[]): void {
  const seen = new Set<string>();
  for (const { label, name } of machines) {
    if (!/^[a-z][a-z0-9-]{0,13}$/.test(name)) throw new Error(`${name} is no name for a machine`);
    if (seen.has(label)) throw new Error(`two machines are named ${name}`);
    seen.add(label);
  }
}
