import test from 'ava';
import { formatIp } from '../../src/addr/ip.js';
import { signedOctets } from '../../src/routing/admission.js';
import { PacketWriter } from '../../src/routing/codec/packet-writer.js';
import type { Destination } from '../../src/routing/destination.js';
import { Shares } from '../../src/routing/shares.js';
import type { Tuning } from '../../src/routing/tuning.js';
import { hour, minute, second } from '../../src/time.js';
import { Hand } from './hand.js';
import { Network, prefix, signAs } from './network.js';
import { packet } from './tlvs.js';

const lost = 65535;

interface Said {
  /** Which prefix: fd00:0:<this>::/64. */
  readonly net: number;
  readonly egress: number;
  readonly by?: number;
  readonly metric?: number;
  readonly isSigned?: boolean;
}

/** Node 1, which grants fd00::/16 to the gateways, and members 2, ... that say what they are given. */
function membersWorld(tuning: Partial<Tuning>, members = 2, gateways = [7, 8]) {
  const world = new Network(13, tuning);
  const node = world.node(1);
  for (let member = 2; member < 2 + members; member++) {
    world.node(member);
    world.link(1, member);
  }
  world.run(2 * second);
  for (const gateway of gateways) node.authority.grantsOf.set(gateway, [prefix('fd00::/16')]);
  const tell = ({ net, egress, by = 2, metric = 1, isSigned = true }: Said) => {
    const lan = prefix(`fd00:0:${net.toString(16)}::/64`);
    const writer = new PacketWriter(1200);
    const proof = signAs(egress, signedOctets(lan, 1, egress, 1, egress));
    writer.update({
      prefix: lan.bytes,
      prefixLength: 64,
      routerIdHigh: 1,
      routerIdLow: egress,
      seqno: 1,
      metric,
      interval: 30_000,
      nextHop4: undefined,
      egress: metric === lost ? undefined : egress,
      signature: metric === lost || !isSigned ? undefined : proof,
    });
    world.inject(by, 1, writer.finish());
  };
  const selected = (egress: number) =>
    node.speaker.view(world.now).filter((row) => row.selected && row.egress === egress).length;
  const quotaReports = () => node.reports.filter(({ code }) => code === 'lan-quota');
  return { world, node, tell, selected, quotaReports };
}

/** Node 1 has two LANs with one router each, and tells node 2. */
function lansWorld(tuning: Partial<Tuning>) {
  const world = new Network(5, tuning);
  const node = world.node(1);
  world.node(2);
  world.link(1, 2);
  for (const { authority } of world.nodes.values()) authority.grantsOf.set(1, [prefix('fd00::/12')]);
  const lans = [world.lan(), world.lan()];
  for (const lan of lans) world.attach(1, lan, { imports: [prefix('fd00::/12')] });
  world.run(3 * second);
  let seqno = 1;
  const greet = () => world.greet(lans, seqno++);
  for (let i = 0; i < 3; i++) {
    greet();
    world.run(300);
  }
  const say = (lan: number, net: number, metric = 16) => {
    const [of, refmetric] = [net, metric].map((number) => number.toString(16).padStart(4, '0'));
    const body = `0812 02004000 0640 0001 ${refmetric} fd0${lan} 0000 ${of} 0001`;
    world.say(lans[lan]!, 'fe80::99', packet(`060a 0000 0000000000010001 ${body}`));
  };
  const taken = (at: number, lan: number) =>
    world.nodes
      .get(at)!
      .speaker.view(world.now)
      .filter((row) => row.selected && prefix(`fd0${lan}::/16`).covers(row.prefix)).length;
  return { world, node, greet, say, taken };
}

test('of one destination several have a share, and the last to leave leaves it free', (t) => {
  const shares = new Shares();
  const [one, two] = [{}, {}] as Destination[];
  shares.add(one!, 7);
  shares.add(one!, 8);
  shares.add(one!, 8);
  shares.add(two!, 8);
  t.deepEqual([shares.size, shares.of(7), shares.of(8), shares.largest()], [2, 1, 2, 8]);
  t.true(shares.set(one!, [8]));
  t.false(shares.set(one!, [8, 9]));
  t.deepEqual([shares.has(one!, 7), shares.has(one!, 9), shares.of(7), shares.of(9)], [false, true, 0, 1]);
  t.true(shares.set(one!, []));
  t.deepEqual([shares.size, shares.of(8), shares.of(9), shares.holders(one!).length], [1, 1, 0, 0]);
});

test('what is not proven takes no place of what gateways let out, and of all places its part', (t) => {
  const [members, each] = [8, 68];
  const { world, node, tell, selected } = membersWorld(
    { maxDestinations: 1000, maxForeign: 500, maxUnprovenPerNeighbour: each, maxUnproven: 273 },
    members,
    [27],
  );
  let invented = 0;
  for (let by = 2; by < 2 + members; by++) {
    for (let i = 0; i < each; i++, invented++) {
      node.authority.unknown.add(100_000 + invented);
      tell({ net: 1000 + invented, egress: 100_000 + invented, by });
    }
  }
  t.is(node.speaker.sizes().destinations, 1 + members + 273);
  tell({ net: 1, egress: 27 });
  t.is(selected(27), 1);
  t.true(world.nodes.get(9)!.next(1) === 1);
});

test('a route let go because its new gateway has no share left stands once, as refused, until it is taken back', (t) => {
  const { world, node, tell } = membersWorld({ maxForeign: 30, maxForeignPerEgress: 1 });
  const lan = prefix('fd00:0:1::/64');
  const standings = () =>
    [...node.speaker.view(world.now), ...node.speaker.refused(world.now)]
      .filter((row) => row.prefix.key === lan.key)
      .map(({ standing, refusal }) => refusal ?? standing);
  tell({ net: 1, egress: 7 });
  tell({ net: 2, egress: 8, by: 3 });
  t.deepEqual(standings(), ['selected']);
  tell({ net: 1, egress: 8 });
  t.deepEqual(standings(), ['lan-quota']);
  tell({ net: 1, egress: 8, metric: lost });
  t.deepEqual(standings(), ['retracted']);
});

test('of a share that is full only what its gateway signed is named, once a minute', (t) => {
  const { tell, node, quotaReports } = membersWorld({ maxForeign: 30, maxForeignPerEgress: 10 });
  for (let net = 0; net < 10; net++) {
    tell({ net, egress: 7 });
    tell({ net: 20 + net, egress: 8 });
  }
  for (let i = 0; i < 2000; i++) tell({ net: 100 + i, egress: 500_000 + i, isSigned: false });
  tell({ net: 100, egress: 7, isSigned: false });
  t.is(quotaReports().length, 0);
  t.is(node.speaker.counts().get('lan-quota'), 1);
  for (let net = 100; net < 110; net++) tell({ net, egress: 7 });
  t.deepEqual(
    quotaReports().map(({ about }) => about),
    [7],
  );
});

test('what finds no place, of one gateway or of all, is told to who asks, signed or not', (t) => {
  const { node, world, tell } = membersWorld({ maxForeign: 15, maxForeignPerEgress: 10 });
  for (let i = 0; i < 11; i++) tell({ net: i, egress: 7 });
  tell({ net: 11, egress: 7, isSigned: false });
  for (let i = 20; i < 26; i++) tell({ net: i, egress: 8 });
  const refused = () =>
    node.speaker
      .refused(world.now)
      .map(({ prefix: it, refusal, seqno, announced }) => [String(it), refusal, seqno, announced]);
  t.deepEqual(
    refused(),
    ['a', 'b', '19'].map((net) => [`fd00:0:${net}::/64`, 'lan-quota', 1, 1]),
  );
  for (const net of [10, 11, 25]) tell({ net, egress: 7, metric: lost });
  t.deepEqual(refused(), []);
});

test('when all places of LANs are taken, who took most of them is named, not who comes last', (t) => {
  const { tell, selected, quotaReports } = membersWorld({ maxForeign: 20, maxForeignPerEgress: 15 }, 2, [7, 8, 9]);
  for (let net = 0; net < 15; net++) tell({ net, egress: 7 });
  for (let net = 15; net < 20; net++) tell({ net, egress: 8 });
  tell({ net: 30, egress: 9 });
  for (let i = 0; i < 2000; i++) tell({ net: 100 + i, egress: 500_000 + i, isSigned: false });
  t.is(selected(9), 0);
  t.deepEqual(
    quotaReports().map(({ about }) => about),
    [7],
  );
});

test('of two gateways of one LAN each has its own share, and what one leaves to the other no longer is its', (t) => {
  const share = 10;
  const { world, tell, selected } = membersWorld({ maxForeign: 300, maxForeignPerEgress: share });
  for (let net = 1; net <= share; net++) {
    tell({ net, egress: 7, by: 2 });
    tell({ net, egress: 8, by: 3 });
  }
  world.run(second);
  tell({ net: 50, egress: 8, by: 3 });
  t.is(selected(8), 0, 'what it repeats counts as its too');
  for (let net = 1; net <= share; net++) tell({ net, egress: 7, by: 2, metric: lost });
  world.run(4 * minute);
  t.is(selected(8), share);
  tell({ net: 100, egress: 7, by: 2 });
  t.is(selected(7), 1, 'its share is free');
  tell({ net: 101, egress: 8, by: 3 });
  t.is(selected(8), share, 'and that of the other full');
});

test('who goes over to a gateway whose share is full leaves the one it had', (t) => {
  const { world, node, tell, selected } = membersWorld({ maxForeign: 300, maxForeignPerEgress: 10 });
  for (let net = 10; net < 20; net++) tell({ net, egress: 8, by: 3 });
  tell({ net: 1, egress: 7 });
  t.is(selected(7), 1);
  tell({ net: 1, egress: 8 });
  t.is(selected(7), 0, 'its neighbour has said that it is not by that gateway any more');
  t.is(selected(8), 10);
  world.run(4 * minute);
  t.is(node.speaker.sizes().destinations, 3 + 10);
});

test('a retracted prefix gives its place back after the time of its source', (t) => {
  const { world, tell, selected } = membersWorld({ maxForeign: 300, maxForeignPerEgress: 10 });
  for (let net = 0; net < 10; net++) tell({ net, egress: 7 });
  world.run(second);
  for (let net = 0; net < 10; net++) tell({ net, egress: 7, metric: lost });
  world.run(2 * minute);
  tell({ net: 100, egress: 7 });
  t.is(selected(7), 0, 'not before: it would take one place after another');
  world.run(2 * minute);
  tell({ net: 100, egress: 7 });
  t.is(selected(7), 1);
});

test('nobody keeps a gateway’s share full by repeating what it let out without its signature', (t) => {
  const { world, node, tell, selected } = membersWorld({ maxForeign: 300, maxForeignPerEgress: 10, maxUnproven: 5 });
  node.authority.unknown.add(99);
  for (let net = 0; net < 10; net++) {
    tell({ net, egress: 7, by: 2 });
    tell({ net, egress: 99, by: 3 });
  }
  world.run(second);
  for (let net = 0; net < 10; net++) tell({ net, egress: 7, by: 2, metric: lost });
  world.run(4 * minute);
  for (let net = 100; net < 110; net++) tell({ net, egress: 7 });
  t.is(selected(7), 10);
  t.is(node.speaker.sizes().destinations, 3 + 10 + 5, 'and what waits has its bound');
});

test('who was refused is asked again once the share has room, long before its next full table', (t) => {
  const share = 50;
  const { world, greet, say, taken } = lansWorld({ maxForeign: 300, maxForeignPerEgress: share });
  const tell = (net: number, metric: number) => {
    const lan = prefix(`fd02:0:${net}:1::/64`);
    const writer = new PacketWriter(1200);
    const signature = metric === lost ? undefined : signAs(1, signedOctets(lan, 1, 1, 1, 1));
    const fields = { prefix: lan.bytes, prefixLength: 64, routerIdHigh: 1, routerIdLow: 1, seqno: 1, interval: 30_000 };
    writer.update({ ...fields, metric, egress: metric === lost ? undefined : 1, signature });
    world.inject(1, 2, writer.finish());
  };
  for (let net = 0; net < share; net++) tell(net, 1);
  for (let net = 0; net < 10; net++) say(0, net);
  world.run(second);
  t.deepEqual([taken(1, 0), taken(2, 0)], [10, 0]);
  for (let net = 0; net < share; net++) tell(net, lost);
  for (let waited = 0; waited < 240; waited += 4) {
    greet();
    for (let net = 0; net < 10; net++) say(0, net);
    world.run(4 * second);
  }
  t.is(taken(2, 0), 10);
});

test('who waited behind a proven gateway and finds no place when that leaves is asked again, and used once it is proven', (t) => {
  const [nets, waiting] = [10, 3];
  const { world, node, tell, selected } = membersWorld(
    { maxForeign: 300, maxUnprovenPerNeighbour: waiting, tunnelUpdate: hour },
    2,
    [2, 7],
  );
  node.authority.unknown.add(2);
  for (let net = 0; net < nets; net++) tell({ net, egress: 7, by: 3 });
  t.is(selected(7), nets);
  world.nodes.get(2)!.authority.grantsOf.set(2, [prefix('fd00::/16')]);
  const lan = world.lan();
  world.attach(2, lan);
  const router = new Hand(world, lan, 'fe80::99');
  router.keepGreeting();
  world.run(5 * second);
  for (let net = 0; net < nets; net++) router.announce(`fd00:0:${net}::/64`, 7, 0, 30_000);
  world.run(5 * second);
  const unproven = () => node.speaker.view(world.now).filter(({ standing }) => standing === 'unproven').length;
  t.is(unproven(), nets);
  for (let net = 0; net < nets; net++) tell({ net, egress: 7, by: 3, metric: lost });
  world.run(4 * minute);
  t.is(unproven(), waiting);
  node.authority.unknown.delete(2);
  world.send(1, { kind: 'certificateHeld', node: 2 });
  world.run(2 * second);
  t.is(selected(2), 1 + nets, 'its own prefix, and all that it lets out');
});

test('a router alone on our only LAN leaves room for those that come later, on that LAN and on others', (t) => {
  const world = new Network(5, { maxForeign: 300, maxForeignPerEgress: 64 });
  const node = world.node(1);
  const lans = [world.lan(), world.lan(), world.lan()];
  /** Says as many as all shares hold; how many of them are used. */
  const announces = (lan: number, router: number): number => {
    const hand = new Hand(world, lans[lan]!, `fe80::${router}`, [9, router]);
    hand.keepGreeting();
    world.run(5 * second);
    for (let net = 0; net < 300; net++) hand.announce(`fd00:${lan}:${router}:${net.toString(16)}::/64`, 7, 0, 30_000);
    const ours = prefix(`fd00:${lan}:${router}::/48`);
    return node.speaker.view(world.now).filter((row) => row.selected && ours.covers(row.prefix)).length;
  };
  world.attach(1, lans[0]!);
  t.is(announces(0, 1), 16, 'half of the half that a LAN may take');
  t.is(announces(0, 2), 8);
  world.attach(1, lans[1]!);
  t.is(announces(1, 1), 16);
  for (let router = 3; router < 20; router++) announces(0, router);
  t.is(announces(1, 2), 8, 'however many routers the first LAN has');
  t.true(node.reports.some(({ code, about }) => code === 'lan-quota' && about === 1));
  world.attach(1, lans[2]!);
  t.is(announces(2, 1), 4);
});

/** Node 1 has a LAN of 32 places and the routers fe80::8 and fe80::9 there; and how many routes it has of each. */
function sharedLan() {
  const world = new Network(5, { maxForeign: 300, maxForeignPerEgress: 64 });
  const { speaker } = world.node(1);
  const lan = world.lan();
  world.attach(1, lan);
  const hands = [8, 9].map((router) => new Hand(world, lan, `fe80::${router}`, [9, router])) as [Hand, Hand];
  for (const hand of hands) hand.keepGreeting();
  world.run(5 * second);
  const say = (router: 0 | 1, from: number, count: number, metric = 1, interval = 30_000) => {
    for (let net = from; net < from + count; net++)
      hands[router].announce(`fd00:0:${net.toString(16)}::/64`, 7, metric, interval);
  };
  const routes = () =>
    hands.map(({ address }) => speaker.neighbours().find((row) => formatIp(row.address) === address)!.routes);
  return { world, say, routes };
}

test('a router of a LAN that lets its prefixes expire has their places as long as they are taken, and no others', (t) => {
  const { world, say, routes } = sharedLan();
  for (let round = 0; round < 5; round++) {
    say(0, 100 * round, 40, 1, 10);
    world.run(3 * second);
  }
  t.deepEqual(routes(), [0, 0]);
  say(1, 1000, 40);
  t.deepEqual(routes(), [0, 8], 'half of what is left of 32, of which the first has 16');
  world.run(10 * minute);
  say(0, 2000, 40);
  t.deepEqual(routes(), [12, 8], 'half of what the second leaves');
});

test('what another router of the LAN has brought already takes no place, until that one takes it back', (t) => {
  for (const [first, other] of [
    [0, 1],
    [1, 0],
  ] as const) {
    const { world, say, routes } = sharedLan();
    const both = () => [routes()[first], routes()[other]];
    say(first, 0, 16);
    say(other, 0, 16, 101);
    world.run(31 * second);
    say(other, 100, 40);
    t.deepEqual(both(), [16, 24]);
    say(first, 0, 16, lost);
    world.run(4 * minute);
    t.deepEqual(both(), [0, 24]);
    say(other, 200, 1);
    t.deepEqual(both(), [0, 24], 'all of it is its own now');
    say(first, 300, 40);
    t.deepEqual(both(), [4, 24]);
  }
});

test('what waited for a certificate and is beyond its gateway’s share is let go, and named', (t) => {
  const share = 10;
  const { world, node, tell, selected, quotaReports } = membersWorld({
    maxForeign: 300,
    maxForeignPerEgress: share,
    maxUnprovenPerNeighbour: 30,
  });
  node.authority.unknown.add(7);
  for (let net = 0; net < 30; net++) tell({ net, egress: 7 });
  node.authority.unknown.delete(7);
  world.send(1, { kind: 'certificateHeld', node: 7 });
  t.is(selected(7), share);
  t.is(node.speaker.view(world.now).filter(({ standing }) => standing === 'unproven').length, 0);
  t.deepEqual(
    quotaReports().map(({ about }) => about),
    [7],
  );
  t.deepEqual(
    node.speaker.refused(world.now).map(({ refusal, announced, seqno }) => [refusal, announced, seqno]),
    Array(20).fill(['lan-quota', 1, 1]),
  );
  world.run(31 * second);
  node.authority.unknown.add(99);
  for (let net = 100; net < 130; net++) tell({ net, egress: 99 });
  t.is(node.speaker.sizes().destinations, 3 + share + 30, 'its neighbour may bring as many as before');
});

test('what a LAN of ours announces is no neighbour’s any more', (t) => {
  const { world, node, say } = lansWorld({ maxUnprovenPerNeighbour: 1 });
  node.authority.unknown.add(99);
  const tell = (net: number) => {
    const lan = prefix(`fd01:0:${net}:1::/64`);
    const writer = new PacketWriter(1200);
    writer.update({
      prefix: lan.bytes,
      prefixLength: 64,
      routerIdHigh: 1,
      routerIdLow: 1,
      seqno: 1,
      metric: 1,
      interval: 30_000,
      egress: 99,
      signature: signAs(99, signedOctets(lan, 1, 1, 1, 99)),
    });
    world.inject(2, 1, writer.finish());
  };
  const before = node.speaker.sizes().destinations;
  tell(1);

  say(1, 1);
  tell(2);
  t.is(node.speaker.sizes().destinations, before + 2);
});
