import test from 'ava';
import fc from 'fast-check';
import {
  type HostEntries,
  type HostPlan,
  hostChanges,
  hostTag,
  isLanRoute,
  isOfAddress,
  noEntries,
  planEntries,
} from '../../daemon/kernel/plan.js';
import { parsePrefix } from '../../src/addr/prefix.js';

const plan: HostPlan = {
  device: 'weft0',
  mtu: 1380,
  segments: 44,
  mark: 0x77656674,
  network: parsePrefix('fd5e:cd52:8400::/40')!,
  own: parsePrefix('fd5e:cd52:8401:7::/64')!,
  node: 'fd5e:cd52:8401:7::1',
  apps: ['fd5e:cd52:8401:7:9b0c:1:2:3'],
  lans: ['192.168.7.0/24', '2001:db8:7::/48'].map((text) => ({ prefix: parsePrefix(text)!, via: 'overlay' as const })),
  ipv4Source: undefined,
};

test('a plan becomes addresses, routes and rules that carry the tag', (t) => {
  const lanRules = [
    'not fwmark 0x77656674 lookup main suppress_prefixlength 0 pref 19000 protocol 120',
    'not fwmark 0x77656674 lookup 21000 pref 21000 protocol 120',
  ];
  t.deepEqual(planEntries(plan), {
    addresses: ['fd5e:cd52:8401:7::1/128 dev lo metric 17000', 'fd5e:cd52:8401:7:9b0c:1:2:3/128 dev lo metric 17000'],
    routes6: [
      'unreachable fd5e:cd52:8400::/40 table main proto 120 metric 17000',
      'unreachable fd5e:cd52:8401:7::/64 table main proto 120 metric 17000',
      'throw fd5e:cd52:8401:7::/64 table 17000 proto 120 metric 1024',
      'fd5e:cd52:8400::/40 dev weft0 src fd5e:cd52:8401:7::1 table 17000 proto 120 metric 1024',
      '2001:db8:7::/48 dev weft0 src fd5e:cd52:8401:7::1 table 21000 proto 120 metric 1024',
    ],
    routes4: ['192.168.7.0/24 dev weft0 table 21000 proto 120 metric 1024'],
    rules6: ['not fwmark 0x77656674 lookup 17000 pref 17000 protocol 120', ...lanRules],
    rules4: lanRules,
  });
});

test('whose address a refused command is about can be told, and whether it is a route to a LAN', (t) => {
  const [app] = plan.apps;
  const up = hostChanges(noEntries, planEntries(plan));
  const down = hostChanges(planEntries(plan), noEntries);
  for (const { commands6 } of [up, down]) {
    const about = commands6.filter((command) => isOfAddress(command, app!));
    t.is(about.length, 1);
    t.true(about[0]!.startsWith('addr '));
  }
  t.false(isOfAddress('addr del fd5e:cd52:8401:7:9b0c:1:2:33/128 dev lo metric 17000', app!), 'one that begins alike');
  const lans = [...up.commands6, ...up.commands4].filter((command) => isLanRoute(command, plan.device));
  t.deepEqual(
    lans.map((command) => command.split(' ')[2]),
    ['2001:db8:7::/48', '192.168.7.0/24'],
  );
});

test('what is there already costs nothing', (t) => {
  const entries = planEntries(plan);
  t.deepEqual(hostChanges(entries, entries), { commands6: [], commands4: [] });
});

test('a route whose way changes is replaced, never removed first', (t) => {
  const before = planEntries(plan);
  const after = planEntries({ ...plan, node: 'fd5e:cd52:8401:7::2', apps: [], lans: [] });
  t.deepEqual(hostChanges(before, after).commands6, [
    'addr replace fd5e:cd52:8401:7::2/128 dev lo metric 17000 preferred_lft 0 nodad',
    'route replace fd5e:cd52:8400::/40 dev weft0 src fd5e:cd52:8401:7::2 table 17000 proto 120 metric 1024',
    'rule del not fwmark 0x77656674 lookup main suppress_prefixlength 0 pref 19000 protocol 120',
    'rule del not fwmark 0x77656674 lookup 21000 pref 21000 protocol 120',
    'route del 2001:db8:7::/48 dev weft0 src fd5e:cd52:8401:7::1 table 21000 proto 120 metric 1024',
    'addr del fd5e:cd52:8401:7::1/128 dev lo metric 17000',
    'addr del fd5e:cd52:8401:7:9b0c:1:2:3/128 dev lo metric 17000',
  ]);
});

test('an address is there before the route that names it, and goes after it', (t) => {
  const up = hostChanges(noEntries, planEntries(plan)).commands6;
  t.true(up.findIndex((line) => line.startsWith('addr')) < up.findIndex((line) => line.includes('src')));
  const down = hostChanges(planEntries(plan), noEntries).commands6;
  t.true(down.findIndex((line) => line.startsWith('addr')) > down.findIndex((line) => line.includes('src')));
});

test('from any state to any other: everything wanted is added or there, everything else removed or replaced', (t) => {
  const address = fc.constantFrom('fd00::1', 'fd00::2', 'fd00::3').map((ip) => `${ip}/128 dev lo metric 17000`);
  const route = fc
    .tuple(
      fc.constantFrom('fd00::/40', 'fd00:1::/64'),
      fc.constantFrom('dev weft0', 'dev eth0', 'via fe80::1 dev eth0'),
    )
    .map(([prefix, way]) => `${prefix} ${way} table 17000 proto 120 metric 1024`);
  const oneWayEach = (routes: readonly string[]) => [
    ...new Map(routes.map((line) => [line.split(' ')[0], line])).values(),
  ];
  const entries: fc.Arbitrary<HostEntries> = fc.record({
    addresses: fc.uniqueArray(address),
    routes6: fc.array(route).map(oneWayEach),
    routes4: fc.constant([]),
    rules6: fc.constant([]),
    rules4: fc.constant([]),
  });
  fc.assert(
    fc.property(entries, entries, (actual, wanted) => {
      const addresses = new Set(actual.addresses);
      const routes = new Map(actual.routes6.map((line) => [line.split(' ')[0]!, line]));
      for (const command of hostChanges(actual, wanted).commands6) {
        const [object, verb, ...rest] = command.replace(' preferred_lft 0 nodad', '').split(' ');
        const line = rest.join(' ');
        if (object === 'addr') verb === 'replace' ? addresses.add(line) : t.true(addresses.delete(line));
        else if (verb === 'replace') routes.set(rest[0]!, line);
        else {
          t.is(routes.get(rest[0]!), line);
          routes.delete(rest[0]!);
        }
      }
      t.deepEqual([...addresses].sort(), [...wanted.addresses].sort());
      t.deepEqual([...routes.values()].sort(), [...wanted.routes6].sort());
    }),
    { seed: 7, numRuns: 300 },
  );
});

test('networks on one host have tags of their own below the main rule', (t) => {
  const tags = ['weft0', 'weft1', 'weft999', 'mesh', 'home', 'a-long-name-123'].map(hostTag);
  t.is(new Set(tags).size, tags.length);
  t.true(tags.every((tag) => tag > 255 && tag < 32766));
});

test('LAN prefixes go to their routers, by the TUN, or nowhere while they are lost', (t) => {
  const prefix = (text: string) => parsePrefix(text)!;
  const entries = planEntries({
    ...plan,
    lans: [
      { prefix: prefix('10.9.0.0/16'), via: 'lan', router: '192.168.1.9', device: 'eth1' },
      { prefix: prefix('10.8.0.0/16'), via: 'lan', router: 'fe80::9', device: 'eth1' },
      { prefix: prefix('10.7.0.0/16'), via: 'nowhere' },
      { prefix: prefix('10.6.0.0/16'), via: 'overlay' },
      { prefix: prefix('2001:db8:9::/48'), via: 'lan', router: 'fe80::9', device: 'eth1' },
    ],
    ipv4Source: '192.168.1.5',
  });
  t.deepEqual(entries.routes4, [
    '10.9.0.0/16 via 192.168.1.9 dev eth1 onlink table 21000 proto 120 metric 1024',
    '10.8.0.0/16 via inet6 fe80::9 dev eth1 onlink table 21000 proto 120 metric 1024',
    'unreachable 10.7.0.0/16 table 21000 proto 120 metric 1024',
    '10.6.0.0/16 dev weft0 src 192.168.1.5 table 21000 proto 120 metric 1024',
  ]);
  t.is(entries.routes6.at(-1), '2001:db8:9::/48 via fe80::9 dev eth1 onlink table 21000 proto 120 metric 1024');
});
