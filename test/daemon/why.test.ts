import test from 'ava';
import { coveringRows, explain, reasonsOf, type Whereabouts } from '../../daemon/why.js';
import { formatIp, parseIp } from '../../src/addr/ip.js';
import { nodeAddress, nodePrefix } from '../../src/addr/node-number.js';
import type { RouteRow } from '../../src/routing/contract.js';
import { Hand } from '../routing/hand.js';
import { Network, overlay, prefix } from '../routing/network.js';
import { Ways } from '../routing/ways.js';

const names = ['', 'home', 'tokyo', 'relay'];

/** What node 1 says of an address; its neighbours are 2 and 3. */
function whyOf(world: Network, address: Uint8Array, direct: number) {
  const neighbour = (row: RouteRow) => [2, 3].find((node) => world.interfaceOf(1, node) === row.interface);
  const about: Whereabouts = {
    target: 'tokyo',
    address,
    hop: (row) => names[neighbour(row) ?? 0] || null,
    isDirect: (row) => neighbour(row) === direct,
    egress: (row) => (row.origin === undefined && row.egress !== undefined ? names[row.egress]! : null),
    isLan: () => false,
    withoutTunnel: '',
  };
  return explain(world.nodes.get(1)!.speaker.view(world.now), about);
}

/** Home and Tokyo with a tunnel of 100 ms, and a relay that is 20 ms from both. */
function triangle(): Network {
  const world = new Network(51);
  for (let i = 1; i <= 3; i++) world.node(i);
  world.link(1, 2, { delay: 50 });
  world.link(1, 3, { delay: 10 });
  world.link(3, 2, { delay: 10 });
  return world;
}

test('a relay that is faster than the direct tunnel is taken, and why says by how much', (t) => {
  const world = triangle();
  world.run(20_000);
  const why = whyOf(world, nodeAddress(overlay, 2), 2);
  t.is(
    why.decision,
    'relayed by relay, which cannot read it (metric 592); the direct tunnel would be worse: metric +504, as if 50 ms longer',
  );
  t.deepEqual(
    why.candidates.map(({ nextHop, metric, selected, feasible, reason }) => [
      nextHop,
      metric,
      selected,
      feasible,
      reason,
    ]),
    [
      ['relay', 592, true, true, 'used: the best feasible route'],
      ['tokyo', 1096, false, true, 'a longer way than the one in use (metric +504, as if 50 ms longer)'],
    ],
  );
  t.is(why.change, 'another way would have to be faster, by a margin and for some seconds');
});

test('of a LAN behind a node why says where packets leave the overlay', (t) => {
  const world = triangle();
  for (const node of world.nodes.values()) node.authority.grantsOf.set(2, [prefix('10.9.0.0/16')]);
  world.send(2, { kind: 'originate', prefix: prefix('10.9.0.0/16'), metric: 0 });
  world.run(20_000);
  t.regex(whyOf(world, parseIp('10.9.1.1')!, 2).decision, /^leaves the overlay at tokyo: relayed by relay, /);
  t.is(whyOf(world, parseIp('10.8.1.1')!, 2).decision, 'there is no route to it');
  t.is(whyOf(world, nodeAddress(overlay, 1), 2).decision, 'it is on this node');
});

test('a longer prefix that is lost is dropped at first, and then shown beside the shorter one in use', (t) => {
  const world = triangle();
  const grants = [prefix('10.0.0.0/8')];
  for (const node of world.nodes.values()) for (const owner of [2, 3]) node.authority.grantsOf.set(owner, grants);
  world.send(2, { kind: 'originate', prefix: prefix('10.9.0.0/16'), metric: 0 });
  world.send(3, { kind: 'originate', prefix: prefix('10.0.0.0/8'), metric: 0 });
  world.run(20_000);
  const view = () => world.nodes.get(1)!.speaker.view(world.now);
  const prefixes = () => new Set(coveringRows(view(), parseIp('10.9.1.1')!).map((row) => String(row.prefix)));
  t.deepEqual([...prefixes()], ['10.9.0.0/16']);
  world.send(2, { kind: 'withdraw', prefix: prefix('10.9.0.0/16') });
  world.run(100);
  t.is(world.nodes.get(1)!.routes.get(prefix('10.9.0.0/16').key)?.held, true);
  const { decision, candidates } = whyOf(world, parseIp('10.9.1.1')!, 2);
  t.is(decision, 'dropped: 10.9.0.0/16 was lost, and no shorter prefix is used before all neighbours know that');
  t.false(candidates.some(({ selected }) => selected));
  world.run(2000);
  t.deepEqual([...prefixes()].sort(), ['10.0.0.0/8', '10.9.0.0/16']);
  const lost = whyOf(world, parseIp('10.9.1.1')!, 2).candidates.find(
    (one) => !one.selected && one.reason.includes('/16'),
  )!;
  t.is(lost.reason, 'the neighbour has taken it back (of 10.9.0.0/16)');
});

test('of a route that is not feasible why says what it would have to beat', (t) => {
  const world = new Network(52);
  for (let i = 1; i <= 3; i++) world.node(i);
  world.link(1, 2, { delay: 10 });
  world.link(1, 3, { delay: 50 });
  world.link(3, 2, { delay: 50 });
  world.run(20_000);
  const [, other] = whyOf(world, nodeAddress(overlay, 2), 2).candidates;
  t.false(other!.feasible);
  t.regex(
    other!.reason,
    /a newer sequence number is asked for once it is the best there is; it says 1096, and we have announced 296 ourselves \(/,
  );
});

test('of every route not in use `weft routes` says the reason that why says', (t) => {
  const world = triangle();
  world.run(20_000);
  const address = nodeAddress(overlay, 2);
  const view = () => world.nodes.get(1)!.speaker.view(world.now);
  const reasons = () => {
    const rows = view();
    const reasonOf = reasonsOf(rows);
    const unused = coveringRows(rows, address).filter((row) => !row.selected);
    const why = whyOf(world, address, 2).candidates.filter((one) => !one.selected);
    t.deepEqual(unused.map(reasonOf).sort(), why.map(({ reason }) => reason).sort());
    t.true(rows.every((row) => reasonOf(row) !== ''));
    return unused.map(reasonOf);
  };
  t.deepEqual(reasons(), ['a longer way than the one in use (metric +504, as if 50 ms longer)']);
  world.send(1, { kind: 'suspected', interface: world.interfaceOf(1, 3) });
  t.deepEqual(reasons(), ['nothing is heard from that neighbour at the moment (metric -504, as if 50 ms shorter)']);
  world.send(2, { kind: 'withdraw', prefix: nodePrefix(overlay, 2) });
  world.run(2000);
  t.deepEqual(reasons(), Array(2).fill('the neighbour has taken it back'));
});

/** What a node says of an address from its LAN, by its routers' last characters; refused updates count as in the daemon. */
function onLan(world: Network, address: string) {
  const { speaker } = world.nodes.get(1)!;
  return explain([...speaker.view(world.now), ...speaker.refused(world.now)], {
    target: address,
    address: parseIp(address)!,
    hop: (row) => (row.neighbour ? formatIp(row.neighbour) : null),
    isDirect: () => false,
    egress: () => null,
    isLan: () => true,
    withoutTunnel: '',
  });
}

test('of a route that is not feasible for its old sequence number why says that, whatever its metric', (t) => {
  const world = new Network(61);
  world.node(1);
  const lan = world.lan();
  world.attach(1, lan, { type: 'tunnel' });
  world.run(100);
  const [near, far] = ['fe80::8', 'fe80::9'].map((address) => new Hand(world, lan, address)) as [Hand, Hand];
  for (const hand of [near, far]) hand.keepGreeting();
  world.run(5000);
  near.announce('2001:db8:9::/48', 8, 500);
  world.run(1000);
  far.announce('2001:db8:9::/48', 7, 100);
  world.run(500);
  const other = onLan(world, '2001:db8:9::1').candidates.find((one) => !one.selected)!;
  t.false(other.feasible);
  t.regex(other.reason, /; its sequence number 7 is older than the 8 we have announced \(/);
  t.notRegex(other.reason, /it says/);
  const { change } = onLan(world, '2001:db8:9::1');
  t.is(change, 'the better way would have to be announced with a newer sequence number');
});

test('an import that is refused is a candidate, with the reason, until it would have expired or is taken', (t) => {
  const world = new Network(62);
  world.node(1);
  const lan = world.lan();
  const policy = {
    imports: [prefix('172.16.0.0/12')],
    exports: [],
    connected: [prefix('172.16.5.0/24')],
    onLink: [],
    own: [],
  };
  world.attach(1, lan, { type: 'tunnel', ...policy });
  world.run(100);
  const router = new Hand(world, lan, 'fe80::8');
  router.keepGreeting();
  world.run(5000);
  router.announce('172.16.5.0/25', 8, 5);
  router.announce('172.16.6.0/24', 8, 5);
  router.announce('192.0.2.0/24', 8, 5);
  world.run(1000);
  const reasonsFor = (address: string) => onLan(world, address).candidates.map(({ reason }) => reason);
  const [refused] = onLan(world, '172.16.5.7').candidates;
  t.deepEqual([refused!.nextHop, refused!.selected, refused!.feasible, refused!.seqno], ['fe80::8', false, false, 8]);
  t.is(refused!.reason, 'refused: it meets a network this machine is connected to, or its default gateway');
  t.is(onLan(world, '172.16.5.7').decision, 'none of the 1 routes to it can be used');
  t.deepEqual(reasonsFor('192.0.2.1'), [
    'refused: neither "import" of [[babel.interface]] nor our certificate lists it',
  ]);
  t.deepEqual(reasonsFor('172.16.6.1'), ['used: the best feasible route']);
  t.deepEqual(reasonsFor('172.16.7.1'), []);
  world.send(1, { kind: 'lanPolicyChanged', interface: lan, policy: { ...policy, connected: [] } });
  router.announce('172.16.5.0/25', 8, 5);
  world.run(1000);
  t.deepEqual(reasonsFor('172.16.5.7'), ['used: the best feasible route']);
  world.run(3_600_000);
  t.deepEqual(reasonsFor('192.0.2.1'), []);
});

test('a refusal is over once its neighbour takes the prefix back, be it taken meanwhile or not, or takes all back', (t) => {
  const world = new Network(62);
  world.node(1);
  const lan = world.lan();
  const policy = { imports: [], exports: [], connected: [], onLink: [], own: [] };
  world.attach(1, lan, { type: 'tunnel', ...policy });
  world.run(100);
  const [router, other] = ['fe80::8', 'fe80::9'].map((address) => new Hand(world, lan, address)) as [Hand, Hand];
  for (const hand of [router, other]) hand.keepGreeting();
  world.run(5000);
  const refused = () => world.nodes.get(1)!.speaker.refused(world.now).length;
  for (const hand of [router, other]) hand.announce('192.0.2.0/24', 8, 5);
  t.is(refused(), 2);
  router.announce('192.0.2.0/24', 8, 0xffff);
  t.is(refused(), 1, 'what the other says stands');
  other.say((writer) => writer.wildcardRetraction());
  t.deepEqual(onLan(world, '192.0.2.1').candidates, []);
  router.announce('192.0.2.0/24', 8, 5);
  t.is(refused(), 1);
  world.send(1, {
    kind: 'lanPolicyChanged',
    interface: lan,
    policy: { ...policy, imports: [prefix('192.0.2.0/24')] },
  });
  router.announce('192.0.2.0/24', 8, 5);
  world.send(1, { kind: 'lanPolicyChanged', interface: lan, policy });
  t.deepEqual([refused(), onLan(world, '192.0.2.1').candidates], [0, []], 'it was taken, and let go');
});

test('beyond 256 refusals the oldest of whoever has most go, and those of who is gone', (t) => {
  const world = new Network(63);
  world.node(1);
  const lan = world.lan();
  world.attach(1, lan, { type: 'tunnel', imports: [] });
  world.run(100);
  const [quiet, loud, late] = ['fe80::7', 'fe80::8', 'fe80::9'].map((address) => new Hand(world, lan, address)) as [
    Hand,
    Hand,
    Hand,
  ];
  for (const hand of [quiet, late]) hand.keepGreeting();
  loud.greet();
  world.run(5000);
  const refused = (of: Hand) =>
    world.nodes
      .get(1)!
      .speaker.refused(world.now)
      .filter(({ neighbour }) => formatIp(neighbour!) === of.address)
      .map((row) => String(row.prefix));
  quiet.announce('192.0.2.0/24', 8, 5);
  for (let i = 0; i < 300; i++) loud.announce(`10.${i >> 8}.${i & 255}.0/24`, 8, 5);
  t.deepEqual(refused(quiet), ['192.0.2.0/24']);
  t.deepEqual([refused(loud).length, refused(loud)[0]], [255, '10.0.45.0/24']);
  late.announce('198.51.100.0/24', 8, 5);
  t.deepEqual([refused(quiet).length, refused(loud).length, refused(late).length], [1, 254, 1]);
  const neighbours = () => world.nodes.get(1)!.speaker.neighbours().length;
  t.truthy(world.until(() => neighbours() === 2, 200_000));
  t.is(refused(loud).length, 0, 'it is gone');
  for (let i = 0; i < 254; i++) late.announce(`10.1.${i}.0/24`, 8, 5);
  t.deepEqual([refused(quiet).length, refused(late).length], [1, 255], 'and takes no places');
});

test('of the latest refusals 256 are kept, the oldest go first', (t) => {
  const world = new Network(63);
  world.node(1);
  const lan = world.lan();
  world.attach(1, lan, { type: 'tunnel', imports: [] });
  world.run(100);
  const router = new Hand(world, lan, 'fe80::8');
  router.keepGreeting();
  world.run(5000);
  for (let i = 0; i < 300; i++) router.announce(`10.${i >> 8}.${i & 255}.0/24`, 8, 5);
  world.run(1000);
  const rows = world.nodes
    .get(1)!
    .speaker.refused(world.now)
    .map((row) => String(row.prefix));
  t.deepEqual([rows.length, rows[0], rows.at(-1)], [256, '10.0.44.0/24', '10.1.43.0/24']);
});

test('of an IPv4 address a route for half of IPv6 says nothing, though that holds ::ffff:0:0/96', (t) => {
  const world = triangle();
  for (const node of world.nodes.values()) node.authority.grantsOf.set(2, [prefix('::/1')]);
  world.send(2, { kind: 'originate', prefix: prefix('::/1'), metric: 0 });
  world.run(20_000);
  t.is(whyOf(world, parseIp('2001:db8::1')!, 2).candidates.length, 2);
  const why = whyOf(world, parseIp('10.8.1.1')!, 2);
  t.deepEqual([why.decision, why.candidates], ['there is no route to it', []]);
});

test('of a way that was left lately why says what will bring it back', (t) => {
  const world = new Ways(35, [20, 40]);
  world.change(1, 2, { delay: 80 });
  t.truthy(world.until(() => world.used === 3, 12_000));
  world.change(1, 2, { delay: 10 });
  world.run(10_000);
  const why = explain(world.nodes.get(1)!.speaker.view(world.now), {
    target: 'far',
    address: nodeAddress(overlay, world.target),
    hop: (row) => String(row.interface),
    isDirect: () => false,
    egress: () => null,
    isLan: () => false,
    withoutTunnel: '',
  });
  t.regex(
    why.candidates.find(({ selected }) => !selected)!.reason,
    /^it was left because it had become worse, at most 5 minutes ago; it is returned to after those, or once the one in use/,
  );
  t.regex(why.change, /^time: the better way was left lately; /);
});
