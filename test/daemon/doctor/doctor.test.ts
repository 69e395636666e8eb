import test from 'ava';
import type { CheckState, Peer, Status, TlsInfo, TunnelInfo } from '../../../daemon/api.js';
import { judge } from '../../../daemon/doctor/doctor.js';
import type { DoctorFacts, MachineFacts, NodeFacts } from '../../../daemon/doctor/facts.js';
import { type Chain, PacketFilter } from '../../../daemon/doctor/packet-filter.js';
import { parseLegacyTables, parseListening, probeMachine } from '../../../daemon/doctor/probe.js';
import type { MappingDoubt } from '../../../src/upnp/reasons.js';

const status: Status = {
  schema: 1,
  version: '0.1.0',
  uptimeSeconds: 60,
  node: { name: 'home', id: 'id', address: 'fd12::1', prefix: 'fd12::/64', number: 1 },
  network: { id: 'id', prefix: 'fd12::/40' },
  tun: { name: 'weft0', mtu: 1380, offload: 'tcp+udp' },
  cipher: 'aes-256-gcm',
  workers: 1,
  endpoints: [{ address: '11.0.0.2', port: 16696, source: 'upnp', proven: true, askedAgainSeconds: null }],
  portMapping: {
    state: 'mapped',
    protocol: 'upnp',
    gateway: '192.168.1.1',
    externalAddress: '11.0.0.2',
    externalPort: 16696,
    leaseSeconds: 3600,
    reason: null,
    tcp: { mapped: true, reason: null },
  },
  tunnels: { up: 1, total: 1, overTcp: 0, overTls: 0 },
  tls: null,
  routes: { selected: 2, total: 2 },
  health: [],
  fallbacks: [],
  drops: {},
};
const tunnel: TunnelInfo = {
  endpoint: '11.0.0.3:16696',
  transport: 'udp',
  openedBy: null,
  rttMs: 1,
  jitterMs: 0,
  lossPercent: 0,
  mtu: 1472,
  cipher: 'aes-256-gcm',
  txBytes: 0,
  rxBytes: 0,
  sinceSeconds: 1,
};
const peer: Peer = {
  name: 'rack',
  id: 'id',
  address: 'fd12:0:0:2::1',
  state: 'direct',
  via: null,
  tunnel,
  lastError: null,
};
const node: NodeFacts = {
  status,
  notRunning: undefined,
  device: 'weft0',
  peers: [peer],
  nat: { translated: true, mapping: 'endpoint-independent', filtering: undefined, portPreservation: true },
  mappingDoubt: undefined,
  usesIpv6: false,
  clockFault: undefined,
  port: 16696,
  clocksCompared: 2,
  lan: undefined,
};
const sysctls = {
  'net.ipv6.conf.all.disable_ipv6': '0',
  'net.ipv6.conf.lo.disable_ipv6': '0',
  'net.ipv6.conf.weft0.disable_ipv6': '0',
  'net.ipv6.conf.all.forwarding': '0',
  'net.ipv4.conf.all.rp_filter': '2',
  'net.core.rmem_max': '8388608',
  'net.core.wmem_max': '8388608',
};
const machine: MachineFacts = {
  now: 1_795_000_000,
  clockIsSynchronised: true,
  addresses: [{ device: 'eth0', address: '192.168.1.20' }],
  defaultRoutes: [{ device: 'eth0', gateway: '192.168.1.1' }],
  underlayMtu: 1500,
  tunProblem: undefined,
  sysctls: new Map(Object.entries(sysctls)),
  packetFilter: new PacketFilter([], []),
  legacyTables: [],
  hasDocker: false,
  listening: [{ protocol: 'tcp', port: 22 }],
};
const well: DoctorFacts = { node, machine };

const withStatus = (change: Partial<Status>): DoctorFacts => ({
  machine,
  node: { ...node, status: { ...status, ...change } },
});
const withNode = (change: Partial<NodeFacts>): DoctorFacts => ({ machine, node: { ...node, ...change } });
const withMachine = (change: Partial<MachineFacts>): DoctorFacts => ({ node, machine: { ...machine, ...change } });
const withSysctl = (name: string, value: string): DoctorFacts =>
  withMachine({ sysctls: new Map(Object.entries({ ...sysctls, [name]: value })) });
const unproven = status.endpoints.map((endpoint) => ({ ...endpoint, proven: false }));
/** What a neighbour on the LAN has dialled back, and its tunnel. */
const fromLan = { ...status.endpoints[0]!, address: '192.168.1.7', source: 'local' as const };
const mate: Peer = { ...peer, tunnel: { ...tunnel, endpoint: '192.168.1.8:16696' } };
const atHome = (endpoints: Status['endpoints'], ...others: Peer[]): DoctorFacts =>
  withNode({ status: { ...status, endpoints }, peers: [mate, ...others] });
const globalIpv6 = { ...unproven[0]!, address: '2001:db8:1::10', source: 'local' as const };
const refused: Status['portMapping'] = {
  ...status.portMapping,
  state: 'refused',
  externalAddress: null,
  externalPort: null,
  reason: 'the router Box refused over UPnP (error 718)',
};
const forwardDrop = { family: 'ip6', table: 'filter', name: 'FORWARD', hook: 'forward', policy: 'drop' } as const;
const ip6InputDrop = { family: 'ip6', table: 'filter', name: 'INPUT', hook: 'input', policy: 'drop' } as const;
const inputDrop = { family: 'inet', table: 'filter', name: 'input', hook: 'input', policy: 'drop' } as const;
const inputOpen = { ...inputDrop, policy: 'accept' } as const;
const outputDrop = { family: 'inet', table: 'mine', name: 'out', hook: 'output', policy: 'drop' } as const;
/** A rule of one of these chains: what it matches, and what becomes of that. */
const rule = ({ family, table, name }: Chain, left: object, right: unknown, verdict: 'accept' | 'drop' = 'accept') => ({
  ...{ family, table, chain: name },
  expr: [{ match: { op: '==', left, right } }, { [verdict]: null }],
});
const port = (protocol: string, field: 'sport' | 'dport') => ({ payload: { protocol, field } });
const overTcp: Peer = { ...peer, tunnel: { ...tunnel, transport: 'tcp', openedBy: 'self' } };
const caller: Peer = { ...peer, tunnel: { ...tunnel, transport: 'tcp', openedBy: 'peer' } };
const redis = { listening: [{ protocol: 'tcp', port: 6379 } as const, { protocol: 'tcp', port: 22 } as const] };
const lan = { devices: ['eth1'], carriesIpv4: false };
const ipv6Alone = [{ device: 'eth0', address: '2001:db8::7' }];
const noTunnels = { up: 0, total: 1, overTcp: 0, overTls: 0 };
const legacy = { legacyTables: ['ip filter', 'ip6 filter'] };
/** The mapping stands, and this is odd about it. */
const doubted = (mappingDoubt: MappingDoubt | undefined, change: Partial<Status['portMapping']>): DoctorFacts => ({
  machine,
  node: { ...node, mappingDoubt, status: { ...status, portMapping: { ...status.portMapping, ...change } } },
});
const gatewayWith = (change: Partial<MachineFacts>): DoctorFacts => ({
  node: { ...node, lan },
  machine: { ...machine, ...change },
});

test('a machine that is well: fourteen lines, all ok, each code once, none with a remedy', (t) => {
  const lines = judge(well);
  t.is(lines.length, 14);
  t.deepEqual(
    [...new Set(lines.map(({ code }) => code))],
    lines.map(({ code }) => code),
  );
  for (const line of lines) {
    t.is(line.state, 'ok', `${line.code}: ${line.evidence}`);
    t.is(line.remedy, '');
    t.not(line.evidence, '');
  }
});

const served: TlsInfo = {
  state: 'listening',
  listen: '0.0.0.0:443',
  announced: [{ address: '11.0.0.2', port: 443, name: 'vpn.example.net' }],
  expires: new Date((machine.now + 90 * 86_400) * 1000).toISOString(),
  reason: null,
  fix: null,
};
const withTls = (change: Partial<TlsInfo>) => withStatus({ tls: { ...served, ...change } });
const inDays = (days: number) => new Date((machine.now + days * 86_400) * 1000).toISOString();

const onLan: Peer = { ...peer, tunnel: { ...tunnel, endpoint: '192.168.1.7:16696' } };

/** what is wrong, facts, code, state, evidence, remedy. */
const cases: readonly (readonly [string, DoctorFacts, string, CheckState, RegExp, RegExp])[] = [
  ['no IPv4 address', withMachine({ addresses: [] }), 'underlay', 'error', /no IPv4 address/, /connect it/],
  [
    'IPv6 alone, and switched off',
    withMachine({ addresses: ipv6Alone, defaultRoutes: [] }),
    'underlay',
    'error',
    /2001:db8::7 on eth0, and no IPv4 address: underlay\.ipv6 is off/,
    /underlay\.ipv6 = true/,
  ],
  [
    'IPv6 alone, with tunnels',
    { node: { ...node, usesIpv6: true }, machine: { ...machine, addresses: ipv6Alone, defaultRoutes: [] } },
    'underlay',
    'ok',
    /2001:db8::7 on eth0, and no IPv4 address$/,
    /^$/,
  ],
  [
    'weft0 was set down',
    withStatus({ health: [{ code: 'device-down', severity: 'error', message: 'weft0 was set down', fix: 'ip link' }] }),
    'tun',
    'error',
    /weft0 was set down/,
    /set it up again/,
  ],
  ['no default route', withMachine({ defaultRoutes: [] }), 'underlay', 'warning', /no default route/, /ip route/],
  [
    'nobody answers',
    withStatus({ tunnels: { up: 0, total: 1, overTcp: 0, overTls: 0 } }),
    'udp-out',
    'error',
    /none of 1 peer answers/,
    /allow it outwards/,
  ],
  [
    'UDP does not get out, TCP does',
    withNode({ peers: [overTcp, caller] }),
    'udp-out',
    'warning',
    /over TCP only/,
    /drops UDP/,
  ],
  [
    'neither UDP nor plain TCP gets out, TLS does',
    withNode({ peers: [{ ...peer, tunnel: { ...tunnel, transport: 'tls', openedBy: 'self' } }] }),
    'udp-out',
    'warning',
    /over TLS only/,
    /drops UDP/,
  ],
  [
    'UDP works to the neighbour on the LAN alone, the others are reached over TCP',
    {
      machine,
      node: {
        ...node,
        status: { ...status, tunnels: { up: 2, total: 2, overTcp: 1, overTls: 0 } },
        peers: [onLan, overTcp],
      },
    },
    'udp-out',
    'warning',
    /1 tunnel up, but over TCP only, and 1 inside this network/,
    /drops UDP/,
  ],
  [
    'UDP works to the neighbour on the LAN alone, the others are not reached',
    withNode({ peers: [onLan, { ...peer, tunnel: null, state: 'unreachable' }] }),
    'udp-out',
    'warning',
    /inside this network only; 1 other peer not reached/,
    /drops UDP/,
  ],
  [
    'UDP works to one with a public address, another is reached over TCP',
    {
      machine,
      node: {
        ...node,
        status: { ...status, tunnels: { up: 2, total: 2, overTcp: 1, overTls: 0 } },
        peers: [peer, overTcp],
      },
    },
    'udp-out',
    'ok',
    /2 tunnels up, 1 of them over TCP$/,
    /^$/,
  ],
  ['all are on the LAN', withNode({ peers: [onLan] }), 'udp-out', 'ok', /1 tunnel up, inside this network/, /^$/],
  [
    'router refuses, nothing proven',
    withStatus({ portMapping: refused, endpoints: unproven }),
    'port-mapping',
    'warning',
    /error 718/,
    /^mend on that router what it refused for, .*; or forward UDP port 16696 to this machine there by hand$/,
  ],
  [
    'no router answers, nothing proven',
    withStatus({
      portMapping: { ...refused, state: 'absent', reason: 'no router here answers to UPnP or NAT-PMP' },
      endpoints: unproven,
    }),
    'port-mapping',
    'warning',
    /no router here answers/,
    /^switch on UPnP or NAT-PMP on the router's page \(http:\/\/192\.168\.1\.1\/\), .*; where it has neither, forward UDP port 16696/,
  ],
  [
    'router refuses, and only a neighbour on the LAN gets in',
    withStatus({ portMapping: refused, endpoints: [fromLan, ...unproven] }),
    'port-mapping',
    'warning',
    /error 718/,
    /forward UDP port 16696/,
  ],
  [
    'router refuses, and only who has IPv6 gets in',
    withStatus({ portMapping: refused, endpoints: [{ ...globalIpv6, proven: true }, ...unproven] }),
    'port-mapping',
    'warning',
    /error 718/,
    /forward UDP port 16696/,
  ],
  [
    'no router over IPv4, and who has IPv6 gets in',
    {
      node: {
        ...node,
        status: {
          ...status,
          portMapping: { ...refused, state: 'absent' },
          endpoints: [{ ...globalIpv6, proven: true }],
        },
      },
      machine: { ...machine, defaultRoutes: [] },
    },
    'port-mapping',
    'ok',
    /not needed/,
    /^$/,
  ],
  ['router refuses, not needed', withStatus({ portMapping: refused }), 'port-mapping', 'ok', /not needed/, /^$/],
  [
    'no router to ask',
    {
      machine: { ...machine, defaultRoutes: [] },
      node: { ...node, status: { ...status, portMapping: { ...refused, state: 'absent' }, endpoints: unproven } },
    },
    'port-mapping',
    'unknown',
    /./,
    /^"ip route" shows the way out/,
  ],
  ['the same port over TCP too', well, 'port-mapping', 'ok', /lease 3600 s, over TCP too$/, /^$/],
  [
    'not over TCP',
    doubted(undefined, { tcp: { mapped: false, reason: 'the router Box refused over UPnP (held by 192.168.1.9)' } }),
    'port-mapping',
    'ok',
    /lease 3600 s, not over TCP: the router Box refused over UPnP \(held by 192\.168\.1\.9\)$/,
    /^$/,
  ],
  [
    'double NAT',
    doubted('private', { externalAddress: '10.0.0.7', externalPort: 20_001, reason: 'a second router (double NAT)' }),
    'port-mapping',
    'warning',
    /double NAT/,
    /^forward UDP port 20001 on the router in front to 10\.0\.0\.7, or put one of the two in bridge mode/,
  ],
  [
    'a provider that shares one address among customers',
    doubted('shared', { externalAddress: '100.64.0.9', reason: '(CGNAT): no port mapping helps' }),
    'port-mapping',
    'warning',
    /no port mapping helps/,
    /^ask the provider for a public IPv4 address; without one, one member with a public address [^;]*$/,
  ],
  [
    'a router without an address outside, while peers see us',
    withNode({
      mappingDoubt: 'hidden',
      status: {
        ...status,
        endpoints: unproven,
        portMapping: { ...refused, reason: 'another NAT stands in front of it' },
      },
    }),
    'port-mapping',
    'warning',
    /another NAT stands in front/,
    /^put one of two routers in bridge mode; .*ask for a public IPv4 address; without one, one member with a public address [^;]*$/,
  ],
  [
    'a router that has fallen silent',
    doubted('silent', { state: 'renewing', reason: 'the router Box no longer answers; looking for it again' }),
    'port-mapping',
    'warning',
    /no longer answers/,
    /^it is asked again by itself; restart the router if this lasts$/,
  ],
  [
    'peers that see another address than the router says',
    doubted('seen-elsewhere', { reason: 'peers see 11.9.9.9' }),
    'port-mapping',
    'warning',
    /peers see/,
    /^with several lines, .*default route.*; with one, ask the provider/,
  ],
  [
    'mapping switched off',
    withStatus({ portMapping: { ...refused, state: 'disabled', reason: null } }),
    'port-mapping',
    'ok',
    /switched off/,
    /^$/,
  ],
  [
    'symmetric NAT',
    withNode({ nat: { ...node.nat, mapping: 'address-and-port-dependent' } }),
    'nat',
    'warning',
    /symmetric/,
    /UPnP/,
  ],
  [
    'nobody has seen us',
    withNode({ nat: { translated: undefined, mapping: undefined, filtering: undefined, portPreservation: undefined } }),
    'nat',
    'unknown',
    /no peer/,
    /once a tunnel is up/,
  ],
  [
    'no endpoint proven',
    withStatus({ endpoints: unproven }),
    'endpoints',
    'warning',
    /none of 11\.0\.0\.2:16696 \(upnp\)/,
    /firewall/,
  ],
  [
    'a neighbour on the LAN proves the private address: from outside nobody gets in',
    withStatus({ endpoints: [fromLan, ...unproven] }),
    'endpoints',
    'warning',
    /^none of 11\.0\.0\.2:16696 \(upnp\) was reached by a neighbour but inside this network;/,
    /firewall/,
  ],
  [
    'all members are on the LAN: of the mapping beside nobody outside can say anything yet',
    atHome([...unproven, globalIpv6, fromLan], { ...peer, state: 'unreachable', tunnel: null }),
    'endpoints',
    'ok',
    /^proven: 192\.168\.1\.7:16696$/,
    /^$/,
  ],
  [
    'the only neighbours are on the LAN, where they see a public address',
    withNode({
      status: { ...status, endpoints: [globalIpv6] },
      peers: [{ ...peer, tunnel: { ...tunnel, endpoint: '[2001:db8:1::11]:16696' } }],
    }),
    'endpoints',
    'unknown',
    /^no neighbour outside this network to dial us back$/,
    /once a member elsewhere is up/,
  ],
  [
    'the only neighbours are on the LAN, and others are relayed by them',
    atHome([...unproven, fromLan], { ...peer, state: 'relayed', via: 'mate', tunnel: null }),
    'endpoints',
    'unknown',
    /^no neighbour outside this network/,
    /once a member elsewhere is up/,
  ],
  [
    'a firewall that may let in the LAN, and all members are there',
    {
      node: { ...node, status: { ...status, endpoints: [...unproven, fromLan] }, peers: [mate] },
      machine: { ...machine, packetFilter: new PacketFilter([inputDrop], []) },
    },
    'firewall',
    'ok',
    /none in our way/,
    /^$/,
  ],
  [
    'a narrow way',
    withNode({ peers: [{ ...peer, tunnel: { ...tunnel, mtu: 1252 } }] }),
    'mtu',
    'warning',
    /rack carries 1252/,
    /PPPoE/,
  ],
  ['a device too narrow', withMachine({ underlayMtu: 1000 }), 'mtu', 'error', /only 1000/, /mtu 1500/],
  [
    'a clock that members contradict',
    withNode({
      clockFault: { severity: 'error', message: '1970-01-01 is 9 s behind', fix: 'timedatectl set-ntp true' },
    }),
    'clock',
    'error',
    /1970-01-01/,
    /set-ntp/,
  ],
  [
    'a clock nobody sets',
    withMachine({ clockIsSynchronised: false }),
    'clock',
    'warning',
    /not synchronised/,
    /set-ntp/,
  ],
  [
    'no daemon',
    {
      node: { ...node, status: { ...status, tun: null }, notRunning: { message: 'nothing answers', cure: 'start it' } },
      machine,
    },
    'tun',
    'error',
    /^none is open: nothing answers$/,
    /^start it$/,
  ],
  [
    'no TUN',
    {
      node: { ...node, status: { ...status, tun: null } },
      machine: { ...machine, tunProblem: { message: '/dev/net/tun does not exist', cure: 'modprobe tun' } },
    },
    'tun',
    'error',
    /does not exist/,
    /modprobe/,
  ],
  [
    'no offload',
    withStatus({ tun: { name: 'weft0', mtu: 1380, offload: 'none' }, fallbacks: ['node:crypto'] }),
    'offload',
    'warning',
    /node:crypto/,
    /tun.offload/,
  ],
  [
    'IPv6 off on the TUN',
    withSysctl('net.ipv6.conf.weft0.disable_ipv6', '1'),
    'ipv6',
    'error',
    /weft0\.disable_ipv6 = 1/,
    /sysctl -w/,
  ],
  [
    'IPv6 off for later devices',
    withSysctl('net.ipv6.conf.all.disable_ipv6', '1'),
    'ipv6',
    'warning',
    /come up later/,
    /sysctl/,
  ],
  ['no IPv6 at all', withMachine({ sysctls: new Map() }), 'ipv6', 'error', /without IPv6/, /ipv6\.disable/],
  ['a gateway that does not forward', withNode({ lan }), 'ipv6', 'error', /does not forward/, /forwarding=1/],
  [
    'Docker drops what a gateway forwards',
    gatewayWith({ hasDocker: true, packetFilter: new PacketFilter([forwardDrop], []) }),
    'firewall',
    'error',
    /Docker sets this/,
    /nft insert rule ip6 filter FORWARD oifname weft0 counter accept/,
  ],
  [
    'Docker drops the IPv4 of a LAN that has some',
    {
      node: { ...node, lan: { ...lan, carriesIpv4: true } },
      machine: { ...machine, packetFilter: new PacketFilter([{ ...forwardDrop, family: 'ip' }], []) },
    },
    'firewall',
    'error',
    /dropped in ip filter FORWARD/,
    /nft insert rule ip filter FORWARD iifname weft0 counter accept; nft insert rule ip filter FORWARD oifname weft0/,
  ],
  [
    'which is in nobody’s way where the LAN has none',
    gatewayWith({
      packetFilter: new PacketFilter([{ ...forwardDrop, family: 'ip' }], []),
      sysctls: new Map([...machine.sysctls, ['net.ipv6.conf.all.forwarding', '1']]),
    }),
    'firewall',
    'ok',
    /1 chain with policy drop, none in our way/,
    /^$/,
  ],
  [
    'a rule for some addresses, on a gateway',
    gatewayWith({
      packetFilter: new PacketFilter(
        [forwardDrop],
        [
          {
            ...{ family: 'ip6', table: 'filter', chain: 'FORWARD' },
            expr: [
              { match: { op: '==', left: { payload: { protocol: 'ip6', field: 'saddr' } }, right: 'fd00::1' } },
              { accept: null },
            ],
          },
        ],
      ),
    }),
    'firewall',
    'unknown',
    /decided in ip6 filter FORWARD by addresses/,
    /ping a machine of the LAN/,
  ],
  [
    'Docker, but no gateway',
    withMachine({ hasDocker: true, packetFilter: new PacketFilter([forwardDrop], []) }),
    'firewall',
    'ok',
    /none in our way/,
    /^$/,
  ],
  [
    'a firewall that may let in the LAN, and only a neighbour there gets in',
    {
      node: { ...node, status: { ...status, endpoints: [fromLan, ...unproven] } },
      machine: { ...machine, packetFilter: new PacketFilter([inputDrop], []) },
    },
    'firewall',
    'warning',
    /inet filter input/,
    /udp dport 16696 counter accept/,
  ],
  [
    'a firewall, and nothing proven',
    {
      node: { ...node, status: { ...status, endpoints: unproven } },
      machine: { ...machine, packetFilter: new PacketFilter([inputDrop], []) },
    },
    'firewall',
    'warning',
    /inet filter input/,
    /udp dport 16696 counter accept/,
  ],
  [
    'a firewall that lets no UDP out, where nobody answers',
    {
      node: { ...node, status: { ...status, tunnels: noTunnels } },
      machine: {
        ...machine,
        packetFilter: new PacketFilter(
          [outputDrop],
          [rule(outputDrop, { meta: { key: 'l4proto' } }, 'tcp'), rule(outputDrop, port('udp', 'dport'), 53)],
        ),
      },
    },
    'firewall',
    'error',
    /what leaves UDP port 16696 is dropped in inet mine out/,
    /nft insert rule inet mine out udp sport 16696 counter accept/,
  ],
  [
    'the same where streams get out: all works over them',
    {
      node: { ...node, peers: [overTcp] },
      machine: { ...machine, packetFilter: new PacketFilter([outputDrop], []) },
    },
    'firewall',
    'warning',
    /dropped in inet mine out/,
    /udp sport 16696/,
  ],
  [
    'our port is let out by it',
    {
      node: { ...node, peers: [overTcp] },
      machine: {
        ...machine,
        packetFilter: new PacketFilter([outputDrop], [rule(outputDrop, port('udp', 'sport'), 16696)]),
      },
    },
    'firewall',
    'ok',
    /1 chain with policy drop, none in our way/,
    /^$/,
  ],
  [
    'the same, where UDP was seen to get out all the same',
    withMachine({ packetFilter: new PacketFilter([outputDrop], []) }),
    'firewall',
    'ok',
    /1 chain with policy drop, none in our way/,
    /^$/,
  ],
  [
    'both ways closed: the worse is said first',
    {
      node: { ...node, status: { ...status, tunnels: noTunnels, endpoints: unproven } },
      machine: { ...machine, packetFilter: new PacketFilter([inputDrop, outputDrop], []) },
    },
    'firewall',
    'error',
    /inet mine out/,
    /udp sport/,
  ],
  [
    'IPv6 alone, and its firewall lets nothing in',
    {
      node: { ...node, usesIpv6: true, status: { ...status, endpoints: [] } },
      machine: {
        ...machine,
        addresses: ipv6Alone,
        defaultRoutes: [],
        packetFilter: new PacketFilter([ip6InputDrop], [rule(ip6InputDrop, port('icmpv6', 'dport'), 1)]),
      },
    },
    'firewall',
    'warning',
    /UDP port 16696 uncalled is dropped in ip6 filter INPUT, and no endpoint is proven/,
    /nft insert rule ip6 filter INPUT udp dport 16696 counter accept/,
  ],
  [
    'both families, and only one of them is let in',
    {
      node: { ...node, usesIpv6: true },
      machine: {
        ...machine,
        addresses: [...machine.addresses, ...ipv6Alone],
        packetFilter: new PacketFilter([ip6InputDrop], []),
      },
    },
    'firewall',
    'warning',
    /dropped in ip6 filter INPUT, and no IPv6 endpoint is proven/,
    /ip6 filter INPUT udp dport 16696/,
  ],
  [
    'IPv6 that nobody uses',
    withMachine({
      addresses: [...machine.addresses, ...ipv6Alone],
      packetFilter: new PacketFilter([ip6InputDrop], []),
    }),
    'firewall',
    'ok',
    /none in our way/,
    /^$/,
  ],
  ['iptables-legacy, in nobody’s way', withMachine(legacy), 'firewall', 'ok', /no chain drops/, /^$/],
  ['no nft', withMachine({ packetFilter: undefined }), 'firewall', 'unknown', /nft/, /apt install nftables/],
  [
    'small buffers',
    withSysctl('net.core.rmem_max', '212992'),
    'kernel-settings',
    'warning',
    /rmem_max = 212992/,
    /rmem_max=4194304/,
  ],
  [
    'TLS on a port that is taken',
    withTls({
      state: 'failed',
      reason: 'another program listens on TCP 0.0.0.0:443',
      fix: 'end it, or set tls.listen',
    }),
    'tls',
    'error',
    /another program/,
    /tls\.listen/,
  ],
  [
    'a renewed certificate that does not fit',
    withTls({ reason: 'the key is not that of the certificate', fix: 'set tls.key' }),
    'tls',
    'warning',
    /the certificate of before is shown/,
    /tls\.key/,
  ],
  ['a certificate that expires', withTls({ expires: inDays(13) }), 'tls', 'warning', /expires on 20/, /renew it/],
  [
    'one that has',
    withTls({ expires: inDays(-1) }),
    'tls',
    'warning',
    /expired on 20.*members still come in/,
    /renew it/,
  ],
  [
    'TLS that nobody is told of',
    withTls({ announced: [] }),
    'tls',
    'warning',
    /no address of this machine/,
    /tls\.endpoint/,
  ],
  [
    'Redis for everybody',
    withMachine({ listening: [{ protocol: 'tcp', port: 6379 }] }),
    'exposure',
    'warning',
    /Redis \(6379\)/,
    /127\.0\.0\.1.*close it to weft0/,
  ],
  [
    'Redis that the firewall closes to members',
    withMachine({
      ...redis,
      packetFilter: new PacketFilter([inputOpen], [rule(inputOpen, port('tcp', 'dport'), 6379, 'drop')]),
    }),
    'exposure',
    'ok',
    /^every member may connect to TCP 22; the packet filter closes TCP 6379 to members$/,
    /^$/,
  ],
  [
    'Redis that it closes to another device',
    withMachine({
      ...redis,
      packetFilter: new PacketFilter([inputOpen], [rule(inputOpen, { meta: { key: 'iifname' } }, 'eth0', 'drop')]),
    }),
    'exposure',
    'warning',
    /^every member may connect to TCP 6379, 22; open is Redis \(6379\)$/,
    /./,
  ],
  [
    'Redis, and a packet filter of which nothing is known',
    withMachine({ ...redis, packetFilter: undefined }),
    'exposure',
    'warning',
    /what the packet filter stops was not followed; open is Redis/,
    /./,
  ],
  [
    'a firewall that lets nothing in by the overlay: nothing is open',
    withMachine({
      packetFilter: new PacketFilter([inputOpen], [rule(inputOpen, { meta: { key: 'iifname' } }, 'weft0', 'drop')]),
    }),
    'exposure',
    'ok',
    /^the packet filter closes TCP 22 to members$/,
    /^$/,
  ],
];

for (const [what, facts, code, state, evidence, remedy] of cases) {
  test(`${what}: ${code}, ${state}`, (t) => {
    const line = judge(facts).find((one) => one.code === code)!;
    t.is(line.state, state, line.evidence);
    t.regex(line.evidence, evidence);
    t.regex(`${line.remedy} ${line.command}`.trim(), remedy);
  });
}

/** What is not known, and how to find out: never "ok". */
const unknowns: readonly (readonly [string, DoctorFacts, string, RegExp, RegExp])[] = [
  [
    'a gateway: what its LAN offers',
    gatewayWith({ sysctls: new Map([...machine.sysctls, ['net.ipv6.conf.all.forwarding', '1']]) }),
    'exposure',
    /TCP 22; what members reach on the LAN behind eth1 was not checked/,
    /another member/,
  ],
  [
    'IPv6 alone, and no tunnel yet',
    {
      node: { ...node, usesIpv6: true, status: { ...status, tunnels: noTunnels } },
      machine: { ...machine, addresses: ipv6Alone, defaultRoutes: [] },
    },
    'underlay',
    /whether IPv6 leads to the Internet was not looked at/,
    /ip -6 route/,
  ],
  [
    'rules of iptables-legacy on a gateway',
    gatewayWith(legacy),
    'firewall',
    /iptables-legacy has rules too \(ip filter, ip6 filter\)/,
    /iptables-legacy -S/,
  ],
  [
    'rules of iptables-legacy, and no endpoint proven',
    { node: { ...node, status: { ...status, endpoints: unproven } }, machine: { ...machine, ...legacy } },
    'firewall',
    /not followed/,
    /ip6tables-legacy -S/,
  ],
  [
    'whether UDP gets out, where others come over TCP and nobody else is there',
    withNode({ peers: [onLan, caller] }),
    'udp-out',
    /^1 tunnel up over TCP, opened by the other ends, and none over UDP to the outside$/,
    /would tell, and their networks may block it/,
  ],
  ['packet size: no tunnel', withNode({ peers: [] }), 'mtu', /no tunnel to measure it on/, /once a tunnel is up/],
  [
    'packet size: a tunnel that was not measured yet, beside one that was',
    withNode({ peers: [peer, { ...peer, tunnel: { ...tunnel, mtu: 0 } }] }),
    'mtu',
    /2 tunnels, 1 of them not measured yet/,
    /in a few seconds/,
  ],
  [
    'offloads of a TUN before there is one',
    withStatus({ tun: null, node: null, network: null }),
    'offload',
    /no TUN is open/,
    /once this machine is in a network/,
  ],
  ['offloads of a TUN that could not be opened', withStatus({ tun: null }), 'offload', /no TUN/, /line on the TUN/],
  [
    'UDP that some rules let out, while nobody answers',
    {
      node: { ...node, status: { ...status, tunnels: noTunnels } },
      machine: {
        ...machine,
        packetFilter: new PacketFilter([outputDrop], [rule(outputDrop, port('udp', 'dport'), 16696)]),
      },
    },
    'firewall',
    /whether what leaves UDP port 16696 gets out is decided in inet mine out by addresses, other ports/,
    /nft list ruleset/,
  ],
  [
    'Redis that some rules let members reach',
    withMachine({
      ...redis,
      packetFilter: new PacketFilter(
        [inputDrop],
        [rule(inputDrop, { payload: { protocol: 'ip6', field: 'saddr' } }, '@friends')],
      ),
    }),
    'exposure',
    /^rules that were not followed decide who may connect to TCP 6379, 22; among what they decide is Redis/,
    /try to connect from another member/,
  ],
  ['/proc that is closed', withMachine({ listening: undefined }), 'exposure', /could not be read/, /as root/],
  [
    'a clock with nobody to compare it with',
    { node: { ...node, clocksCompared: 0 }, machine: { ...machine, clockIsSynchronised: undefined } },
    'clock',
    /no member to compare it with/,
    /timedatectl/,
  ],
  [
    'rp_filter of an uplink that cannot be read',
    withMachine({ defaultRoutes: [...machine.defaultRoutes, { device: 'lte0', gateway: '10.0.0.1' }] }),
    'kernel-settings',
    /rp_filter cannot be read/,
    /sysctl net\.ipv4\.conf/,
  ],
  [
    'buffers that cannot be read',
    withMachine({ sysctls: new Map([...machine.sysctls].filter(([name]) => !name.startsWith('net.core'))) }),
    'kernel-settings',
    /net\.core\.rmem_max, net\.core\.wmem_max cannot be read/,
    /own network namespace/,
  ],
];

for (const [what, facts, code, evidence, remedy] of unknowns) {
  test(`what is not known is not called ok: ${what}`, (t) => {
    const line = judge(facts).find((one) => one.code === code)!;
    t.is(line.state, 'unknown', line.evidence);
    t.regex(line.evidence, evidence);
    t.regex(line.remedy, remedy);
  });
}

test('a clock is well by the word of members, or of one', (t) => {
  const of = (clocksCompared: number) =>
    judge({ node: { ...node, clocksCompared }, machine: { ...machine, clockIsSynchronised: undefined } }).find(
      ({ code }) => code === 'clock',
    )!;
  t.is(of(1).state, 'ok');
  t.regex(of(1).evidence, /the only neighbour says so too/);
  t.regex(of(7).evidence, /7 neighbours say so too/);
});

test('a default route needs no gateway with an IPv4 address', (t) => {
  const way = (...defaultRoutes: (typeof machine.defaultRoutes)[number][]) => {
    const line = judge(withMachine({ defaultRoutes })).find(({ code }) => code === 'underlay')!;
    t.is(line.state, 'ok');
    return line.evidence;
  };
  t.regex(way({ device: 'ppp0' }), /, by ppp0$/);
  t.regex(way({ device: 'eth0', gateway: 'fe80::1' }), /, by fe80::1 on eth0$/);
  t.regex(way({ device: 'ppp0' }, { device: 'lte0', gateway: '10.0.0.1' }), /, by ppp0, and 1 other uplink$/);
  const absent = { ...status, portMapping: { ...refused, state: 'absent' as const }, endpoints: unproven };
  for (const route of [{ device: 'ppp0' }, { device: 'eth0', gateway: 'fe80::1' }]) {
    const facts = { node: { ...node, status: absent }, machine: { ...machine, defaultRoutes: [route] } };
    const line = judge(facts).find(({ code }) => code === 'port-mapping')!;
    t.is(line.state, 'unknown', 'there is no router to ask');
    t.notRegex(line.remedy, /http/);
  }
});

test('rp_filter counts for each uplink, the higher of its own and that of all', (t) => {
  const defaultRoutes = [...machine.defaultRoutes, { device: 'lte0.7' }];
  const of = (all: string, eth0: string, lte: string) => {
    const filters = { all, eth0, 'lte0.7': lte };
    const sysctls = new Map(machine.sysctls);
    for (const [name, value] of Object.entries(filters)) sysctls.set(`net.ipv4.conf.${name}.rp_filter`, value);
    return judge(withMachine({ defaultRoutes, sysctls })).find(({ code }) => code === 'kernel-settings')!;
  };
  t.is(of('0', '0', '0').state, 'ok');
  t.is(of('2', '1', '1').state, 'ok');
  t.is(of('1', '2', '2').state, 'ok');
  t.regex(of('0', '1', '0').evidence, /strict rp_filter on eth0/);
  t.is(of('0', '1', '2').command, 'sysctl -w net.ipv4.conf.eth0.rp_filter=2');
  t.is(of('1', '0', '2').command, 'sysctl -w net.ipv4.conf.eth0.rp_filter=2');
  t.is(of('0', '0', '1').command, 'sysctl -w net.ipv4.conf.lte0/7.rp_filter=2');
  const spare = [...machine.defaultRoutes, { device: 'eth0' }];
  const sysctls = new Map([...machine.sysctls, ['net.ipv4.conf.eth0.rp_filter', '1']]);
  const alone = judge(withMachine({ defaultRoutes: spare, sysctls })).find(({ code }) => code === 'kernel-settings')!;
  t.is(alone.state, 'ok', 'two routes by one device are one uplink');
});

test('nobody answers: where UDP cannot be allowed, TLS is named as the way out', (t) => {
  const facts = withStatus({ tunnels: { up: 0, total: 1, overTcp: 0, overTls: 0 } });
  t.regex(
    judge(facts).find(({ code }) => code === 'udp-out')!.remedy,
    /\[tls\] in its config \(listen = "0\.0\.0\.0:443"\)/,
  );
});

test('whatever is wrong is said with a remedy', (t) => {
  for (const [what, facts] of cases) {
    for (const line of judge(facts)) t.is(line.state === 'ok', line.remedy === '', `${what}: ${line.code}`);
  }
});

test('our own port is not counted as open, others are listed', (t) => {
  const line = judge(
    withMachine({
      listening: [
        { protocol: 'udp', port: 16696 },
        { protocol: 'udp', port: 5353 },
        { protocol: 'tcp', port: 80 },
      ],
    }),
  );
  t.is(line.find(({ code }) => code === 'exposure')!.evidence, 'every member may connect to TCP 80; UDP 5353');
});

test('tables of iptables-legacy are named with their family', (t) => {
  t.deepEqual(parseLegacyTables('', 'ip'), []);
  t.deepEqual(parseLegacyTables('nat\nfilter\n', 'ip6'), ['ip6 nat', 'ip6 filter']);
});

test('sockets on "::" and on our addresses are open to members, others and connections are not', (t) => {
  const row = (address: string, port: string, state: string) =>
    `   0: ${address}:${port} 00000000000000000000000000000000:0000 ${state} 00000000:00000000`;
  const any = '0'.repeat(32);
  const table = [
    'header',
    row(any, '0016', '0A'),
    row(any, '0016', '0A'),
    row('000012FD000000000000000001000000', '0050', '0A'),
    row('00000000000000000000000001000000', '1F90', '0A'),
    row(any, '01BB', '01'),
  ].join('\n');
  t.deepEqual(parseListening(table, 'tcp', ['fd12::1']), [
    { protocol: 'tcp', port: 22 },
    { protocol: 'tcp', port: 80 },
  ]);
  t.deepEqual(parseListening(table, 'tcp', []), [{ protocol: 'tcp', port: 22 }]);
});

test('this very machine can be probed', async (t) => {
  const facts = await probeMachine('weft0', []);
  t.true(facts.now > 1_700_000_000);
  t.true(facts.sysctls.size > 0);
  for (const line of judge({ node, machine: facts }))
    t.true(['ok', 'warning', 'error', 'unknown'].includes(line.state));
});
