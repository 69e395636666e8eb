import test from 'ava';
import { coveringRows, explain, reasonsOf, type Whereabouts } from '../../daemon/why.js';
import { parseIp } from '../../src/addr/ip.js';
import { nodeAddress, nodePrefix } from '../../src/addr/node-number.js';
import type { RouteRow } from '../../src/routing/contract.js';
import { Network, overlay, prefix } from '../routing/network.js';

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

test('a longer prefix that is lost is shown beside the shorter one in use', (t) => {
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
