import test from 'ava';
import { networksOf, parseKernelView, takenPrefixes } from '../../daemon/lan/kernel-view.js';
import { lanPolicy, originated } from '../../daemon/lan/policy.js';
import { type Prefix, parsePrefix } from '../../src/addr/prefix.js';
import { importRefusal } from '../../src/routing/admission.js';

const rowsOfAddresses = [
  { dst: 'default', gateway: '192.168.1.1', dev: 'eth0' },
  { dst: '192.168.1.0/24', dev: 'eth0', protocol: 'kernel' },
  { dst: '10.9.0.0/16', gateway: '192.168.1.7', dev: 'eth0', protocol: 'static' },
  { dst: '10.8.0.0/16', dev: 'eth2', protocol: 'kernel', flags: ['linkdown'] },
  { dst: 'fe80::/64', dev: 'eth0', protocol: 'kernel' },
  { dst: 'fd01:1::/64', dev: 'eth1', protocol: 'kernel' },
  { dst: 'fd01:3::/64', dev: 'eth1', protocol: 'ra' },
  { dst: 'default', gateway: 'fd02:2::1', dev: 'eth0', protocol: 'ra' },
];
const view = parseKernelView(rowsOfAddresses, new Set());

/** What `ip -j route show table main` of iproute2 6.1 said of both families, where a DHCP client had written the routes of eth0. */
const rows = [
  {
    dst: 'default',
    metric: 100,
    flags: [],
    nexthops: [
      { gateway: '10.254.0.1', dev: 'eth1', weight: 1, flags: [] },
      { gateway: '10.253.0.1', dev: 'eth2', weight: 1, flags: [] },
    ],
  },
  { dst: 'default', via: { family: 'inet6', host: 'fe80::1' }, dev: 'eth1', metric: 200, flags: [] },
  { type: 'unreachable', dst: '10.2.0.0/16', flags: [] },
  { type: 'blackhole', dst: '10.3.0.0/16', flags: [] },
  { dst: '10.4.0.0/16', dev: 'eth2', protocol: '120', scope: 'link', flags: [] },
  { dst: '10.5.0.0/16', dev: 'eth2', protocol: 'static', scope: 'link', flags: [] },
  { dst: '10.6.0.0/16', via: { family: 'inet6', host: 'fe80::1' }, dev: 'eth1', flags: [] },
  {
    dst: '10.7.0.0/16',
    flags: [],
    nexthops: [
      { gateway: '10.254.0.1', dev: 'eth1', weight: 1, flags: [] },
      { gateway: '10.253.0.1', dev: 'eth2', weight: 1, flags: [] },
    ],
  },
  { dst: '10.253.0.0/24', dev: 'eth2', protocol: 'kernel', scope: 'link', prefsrc: '10.253.0.2', flags: [] },
  { dst: '192.168.1.0/24', dev: 'eth0', protocol: 'dhcp', scope: 'link', prefsrc: '192.168.1.9', flags: [] },
  { dst: 'fd01:1::/64', dev: 'eth0', protocol: 'dhcp', metric: 1002, flags: [], pref: 'medium' },
  { dst: 'fd01:2::/64', dev: 'eth1', protocol: 'kernel', metric: 256, flags: [], pref: 'medium' },
  { type: 'unreachable', dst: 'fd01:3::/48', dev: 'lo', metric: 1024, flags: [], pref: 'medium' },
  { dst: 'fd01:4::/64', gateway: 'fd01:2::7', dev: 'eth1', metric: 1024, flags: [], pref: 'medium' },
  {
    dst: 'default',
    protocol: 'static',
    metric: 100,
    flags: [],
    pref: 'medium',
    nexthops: [
      { gateway: 'fd01:2::1', dev: 'eth1', weight: 1, flags: [] },
      { gateway: 'fd01:2::2', dev: 'eth1', weight: 1, flags: [] },
    ],
  },
] as Parameters<typeof parseKernelView>[0];
const written = parseKernelView(rows, new Set(['eth0', 'eth2']));

test('on a LAN device what has no gateway is connected whoever wrote it, but ourselves', (t) => {
  t.deepEqual(
    written.connected.map(({ prefix, device }) => `${prefix} ${device}`),
    ['10.5.0.0/16 eth2', '10.253.0.0/24 eth2', '192.168.1.0/24 eth0', 'fd01:1::/64 eth0', 'fd01:2::/64 eth1'],
  );
});

test('on other devices only the network of an address is connected: what else has no gateway may be a VPN', (t) => {
  const away = [
    { dst: '0.0.0.0/1', dev: 'wg0', scope: 'link', flags: [] },
    { dst: '128.0.0.0/1', dev: 'wg0', scope: 'link', flags: [] },
    { dst: '10.0.0.0/8', dev: 'tun0', protocol: 'static', scope: 'link', metric: 50, flags: [] },
    { dst: '10.8.0.0/24', dev: 'tun0', protocol: 'kernel', scope: 'link', prefsrc: '10.8.0.2', flags: [] },
    { dst: '172.16.0.0/12', dev: 'tun0', scope: 'link', prefsrc: '10.8.0.2', flags: [] },
    { dst: 'fd00::/8', dev: 'wg0', metric: 1024, flags: [], pref: 'medium' },
  ];
  const { connected } = parseKernelView([...rows, ...away], new Set(['eth1']));
  t.deepEqual(
    connected.map(({ prefix, device }) => `${prefix} ${device}`),
    ['10.253.0.0/24 eth2', '192.168.1.0/24 eth0', 'fd01:2::/64 eth1', '10.8.0.0/24 tun0'],
  );
  const rules = { device: 'eth1', import: [parsePrefix('10.7.0.0/16')!], export: undefined };
  const refusal = (lans: string[]) =>
    importRefusal(lanPolicy(rules, [], parseKernelView(away, new Set(lans)), []), parsePrefix('10.7.3.0/24')!);
  t.is(refusal(['eth1']), undefined);
  t.is(refusal(['eth1', 'tun0']), 'import-meets-connected', 'of its LANs the operator says what is on the link');
});

test('what systemd-networkd writes of a DHCP server is part of its network, and not originated besides', (t) => {
  const { connected, gateways } = parseKernelView(
    [
      {
        dst: 'default',
        gateway: '192.168.1.1',
        dev: 'eth0',
        protocol: 'dhcp',
        prefsrc: '192.168.1.9',
        metric: 1024,
        flags: [],
      },
      {
        dst: '192.168.1.0/24',
        dev: 'eth0',
        protocol: 'kernel',
        scope: 'link',
        prefsrc: '192.168.1.9',
        metric: 1024,
        flags: [],
      },
      {
        dst: '192.168.1.0/24',
        dev: 'eth1',
        protocol: 'kernel',
        scope: 'link',
        prefsrc: '192.168.1.8',
        metric: 1024,
        flags: [],
      },
      {
        dst: '192.168.1.1',
        dev: 'eth0',
        protocol: 'dhcp',
        scope: 'link',
        prefsrc: '192.168.1.9',
        metric: 1024,
        flags: [],
      },
      { dst: '192.168.1.7', dev: 'eth2', protocol: 'static', scope: 'link', flags: [] },
    ] as Parameters<typeof parseKernelView>[0],
    new Set(['eth0', 'eth2']),
  );
  t.deepEqual(networksOf({ connected, gateways }, new Set(['eth0', 'eth2'])).map(String), [
    '192.168.1.0/24',
    '192.168.1.7/32',
  ]);
});

test('default gateways are those of every next hop, of the other family too', (t) => {
  t.deepEqual(takenPrefixes({ ...written, connected: [] }).map(String), [
    '10.254.0.1/32',
    '10.253.0.1/32',
    'fe80::1/128',
    'fd01:2::1/128',
    'fd01:2::2/128',
  ]);
});

test('a part of a network that a DHCP client wrote is no import, nor is a gateway of several; and it is originated', (t) => {
  const [lan, network] = ['192.168.0.0/16', 'fd5e:cd52:8400::/40'].map((text) => parsePrefix(text)!) as [
    Prefix,
    Prefix,
  ];
  const rules = { device: 'eth0', import: [lan, parsePrefix('10.254.0.0/16')!], export: undefined };
  const policy = lanPolicy(rules, [], written, []);
  t.is(importRefusal(policy, parsePrefix('192.168.1.128/25')!), 'import-meets-connected');
  t.is(importRefusal(policy, parsePrefix('10.254.0.1/32')!), 'import-meets-connected');
  t.is(importRefusal(policy, parsePrefix('192.168.2.0/24')!), undefined);
  const connected = written.connected.map(({ prefix }) => prefix);
  t.deepEqual(originated(connected, [], [lan], network).map(String), ['192.168.1.0/24']);
});

test('connected networks are those of addresses and advertisements, on devices that have a carrier', (t) => {
  t.deepEqual(
    view.connected.map(({ prefix, device }) => `${prefix} ${device}`),
    ['192.168.1.0/24 eth0', 'fd01:1::/64 eth1', 'fd01:3::/64 eth1'],
  );
});

test('an import must meet neither a connected network nor a default gateway', (t) => {
  t.deepEqual(takenPrefixes(view).map(String), [
    '192.168.1.0/24',
    'fd01:1::/64',
    'fd01:3::/64',
    '192.168.1.1/32',
    'fd02:2::1/128',
  ]);
});

test('a table without routes is an empty view', (t) => {
  t.deepEqual(parseKernelView([], new Set()), { connected: [], gateways: [] });
});
