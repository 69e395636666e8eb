import test from 'ava';
import { importConflict, parseKernelView } from '../../daemon/lan/kernel-view.js';
import { parsePrefix } from '../../src/addr/prefix.js';

const view = parseKernelView(
  JSON.stringify([
    { dst: 'default', gateway: '192.168.1.1', dev: 'eth0' },
    { dst: '192.168.1.0/24', dev: 'eth0', protocol: 'kernel', scope: 'link', prefsrc: '192.168.1.5' },
    { dst: '10.9.0.0/16', gateway: '192.168.1.7', dev: 'eth0', protocol: 'static' },
  ]),
  JSON.stringify([
    { dst: 'fe80::/64', dev: 'eth0', protocol: 'kernel' },
    { dst: 'fd01:1::/64', dev: 'eth1', protocol: 'kernel' },
    { dst: 'default', gateway: 'fd02:2::1', dev: 'eth0', protocol: 'ra' },
  ]),
);
const conflict = (text: string) => importConflict(view, parsePrefix(text)!);

test('a prefix that meets a connected network is refused, inside it, around it, and named', (t) => {
  t.is(conflict('192.168.1.128/25'), '192.168.1.128/25 meets the connected network 192.168.1.0/24 on eth0');
  t.is(conflict('192.168.0.0/16'), '192.168.0.0/16 meets the connected network 192.168.1.0/24 on eth0');
  t.is(conflict('fd01:1::/64'), 'fd01:1::/64 meets the connected network fd01:1::/64 on eth1');
});

test('a prefix that holds the default gateway is refused', (t) => {
  t.is(conflict('fd02:2::/32'), 'fd02:2::/32 holds the default gateway');
});

test('other prefixes, prefixes behind a static route, and a configured default are let through', (t) => {
  for (const text of ['192.168.2.0/24', '10.9.0.0/16', 'fd01:2::/64', '::/0', '0.0.0.0/0'])
    t.is(conflict(text), undefined);
});

test('a table without routes is an empty view', (t) => {
  t.deepEqual(parseKernelView('', '[]'), { connected: [], gateways: [] });
});
