import test from 'ava';
import { parseKernelView, takenPrefixes } from '../../daemon/lan/kernel-view.js';

const view = parseKernelView([
  { dst: 'default', gateway: '192.168.1.1', dev: 'eth0' },
  { dst: '192.168.1.0/24', dev: 'eth0', protocol: 'kernel' },
  { dst: '10.9.0.0/16', gateway: '192.168.1.7', dev: 'eth0', protocol: 'static' },
  { dst: '10.8.0.0/16', dev: 'eth2', protocol: 'kernel', flags: ['linkdown'] },
  { dst: 'fe80::/64', dev: 'eth0', protocol: 'kernel' },
  { dst: 'fd01:1::/64', dev: 'eth1', protocol: 'kernel' },
  { dst: 'fd01:3::/64', dev: 'eth1', protocol: 'ra' },
  { dst: 'default', gateway: 'fd02:2::1', dev: 'eth0', protocol: 'ra' },
]);

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
  t.deepEqual(parseKernelView([]), { connected: [], gateways: [] });
});
