import test from 'ava';
import { parseKernelView } from '../../daemon/lan/kernel-view.js';
import { lanPolicy, originated } from '../../daemon/lan/policy.js';
import { parseIp } from '../../src/addr/ip.js';
import { parsePrefix } from '../../src/addr/prefix.js';

const prefixes = (...texts: string[]) => texts.map((text) => parsePrefix(text)!);
const network = parsePrefix('fd5e:cd52:8400::/40')!;
const view = parseKernelView(
  [
    { dst: '192.168.1.0/24', dev: 'eth0', protocol: 'kernel' },
    { dst: 'fd01:1::/64', dev: 'eth1', protocol: 'kernel' },
  ],
  new Set(['eth1']),
);
const shown = (connected: string[], own: string[], grants: string[]) =>
  originated(
    prefixes(...connected),
    own.map((text) => parseIp(text)!),
    prefixes(...grants),
    network,
  ).map(String);

test('without lists of its own, a LAN may tell us what our certificate grants, but no default route', (t) => {
  const grants = prefixes('10.9.0.0/16', '::/0', '0.0.0.0/0');
  const policy = lanPolicy({ device: 'eth1', import: undefined, export: undefined }, grants, view, [
    parseIp('fd01:1::5')!,
  ]);
  t.deepEqual(policy.imports.map(String), ['10.9.0.0/16']);
  t.deepEqual(policy.exports.map(String), ['::/0', '0.0.0.0/0']);
  t.deepEqual(policy.connected.map(String), ['192.168.1.0/24', 'fd01:1::/64']);
  t.deepEqual(policy.onLink.map(String), ['fd01:1::/64']);
  t.deepEqual(policy.own.map(String), ['fd01:1::5/128']);
});

test('the lists of the operator stand as they are', (t) => {
  const rules = { device: 'eth1', import: prefixes('0.0.0.0/0'), export: [] };
  const policy = lanPolicy(rules, prefixes('10.9.0.0/16'), view, []);
  t.deepEqual(policy.imports.map(String), ['0.0.0.0/0']);
  t.deepEqual(policy.exports, []);
});

test('of connected networks what the certificate grants is originated: whole, or the granted part', (t) => {
  t.deepEqual(shown(['10.1.2.0/24', 'fd01:1::/64'], [], ['10.0.0.0/8']), ['10.1.2.0/24']);
  t.deepEqual(shown(['10.1.2.0/24'], [], ['10.1.2.128/25', '10.1.3.0/24']), ['10.1.2.128/25']);
  t.deepEqual(shown(['10.1.2.0/24'], [], ['::/0']), [], 'a grant for IPv6 says nothing of IPv4');
  t.deepEqual(shown(['10.1.2.0/24'], [], []), []);
});

test('an own address is originated where it is granted by itself', (t) => {
  t.deepEqual(shown([], ['10.5.0.7', 'fd09::7'], ['10.5.0.7/32', '10.0.0.0/8']), ['10.5.0.7/32']);
});

test('nothing of the overlay itself is originated', (t) => {
  t.deepEqual(shown(['fd5e:cd52:8401:7:1::/80'], [], ['::/0']), []);
});
