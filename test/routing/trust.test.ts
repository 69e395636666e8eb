import test from 'ava';
import { nodePrefix } from '../../src/addr/node-number.js';
import type { Prefix } from '../../src/addr/prefix.js';
import { signedOctets } from '../../src/routing/admission.js';
import { PacketWriter } from '../../src/routing/codec/packet-writer.js';
import { routerIdBurst } from '../../src/routing/interface.js';
import { defaultTuning } from '../../src/routing/tuning.js';
import { Hand } from './hand.js';
import { Network, overlay, prefix, signAs, type TestNode } from './network.js';
import { tlvsOf } from './tlvs.js';

interface Claim {
  readonly prefix: Prefix;
  readonly router: readonly [number, number];
  readonly seqno: number;
  readonly metric?: number;
  readonly egress?: number;
  readonly signedBy?: number;
  /** The seqno that was really signed. */
  readonly signedSeqno?: number;
}

function claim(...claims: readonly Claim[]): Uint8Array {
  const writer = new PacketWriter(1200);
  for (const { prefix: what, router, seqno, metric, egress, signedBy, signedSeqno } of claims) {
    const octets = signedOctets(what, router[0], router[1], signedSeqno ?? seqno, egress ?? 0);
    writer.update({
      prefix: what.bytes,
      prefixLength: what.length,
      routerIdHigh: router[0],
      routerIdLow: router[1],
      seqno,
      metric: metric ?? 1,
      interval: 30000,
      egress,
      signature: signedBy === undefined ? undefined : signAs(signedBy, octets),
    });
  }
  return writer.finish();
}

/** 1 - 2 - 3, settled; 2 is the liar, and speaks to 3. */
function line(): Network {
  const world = new Network(21);
  for (let i = 1; i <= 3; i++) world.node(i);
  world.link(1, 2);
  world.link(2, 3);
  world.run(5000);
  return world;
}

const idOf = (node: number, epoch = 100) => [node * 256, epoch] as const;
const codes = (world: Network, node: number) => world.nodes.get(node)!.reports.map((report) => report.code);

test('an invented prefix, of a node that never announced it, is refused, counted and reported with the neighbour', (t) => {
  const world = line();
  world.inject(2, 3, claim({ prefix: nodePrefix(overlay, 77), router: idOf(77), seqno: 1, signedBy: 2 }));
  const node = world.nodes.get(3)!;
  t.is(node.next(77), undefined);
  t.deepEqual(codes(world, 3), ['invalid-signature']);
  t.is(node.reports[0]!.interface, world.interfaceOf(2, 3));
  t.is(node.speaker.counts().get('invalid-signature'), 1);
});

test('a prefix under the router-id of another node is refused', (t) => {
  const world = line();
  world.inject(2, 3, claim({ prefix: nodePrefix(overlay, 77), router: idOf(2), seqno: 1, signedBy: 2 }));
  world.inject(2, 3, claim({ prefix: prefix('fd12:3456:7800:4d::/65'), router: idOf(77), seqno: 1, signedBy: 77 }));
  world.inject(2, 3, claim({ prefix: prefix('fd12:3456:7800::/48'), router: idOf(2), seqno: 1, signedBy: 2 }));
  t.is(world.nodes.get(3)!.speaker.counts().get('not-the-owner'), 3);
});

test('an invented seqno is refused: the true signature is of another', (t) => {
  const world = line();
  world.inject(2, 3, claim({ prefix: nodePrefix(overlay, 1), router: idOf(1), seqno: 9, signedBy: 1, signedSeqno: 1 }));
  t.true(codes(world, 3).includes('invalid-signature'));
  const bare = world.nodes
    .get(3)!
    .speaker.view(world.now)
    .find((row) => row.origin === 1)!;
  t.is(bare.seqno, 1);
});

test('a bare seqno nobody proved is asked for and not used', (t) => {
  const world = line();
  const heard = world.nodes.get(3)!.packetsSent;
  world.inject(2, 3, claim({ prefix: nodePrefix(overlay, 1), router: idOf(1), seqno: 9 }));
  t.is(world.nodes.get(3)!.next(1), undefined);
  world.run(500);
  t.true(world.nodes.get(3)!.packetsSent > heard);
  t.is(world.nodes.get(3)!.next(1), 2, 'the answer proves the true seqno');
});

test('a replayed seqno and an old epoch are refused', (t) => {
  const world = line();
  const own = nodePrefix(overlay, 1);
  world.inject(2, 3, claim({ prefix: own, router: idOf(1, 200), seqno: 500, signedBy: 1 }));
  t.is(world.nodes.get(3)!.next(1), 2);
  world.inject(2, 3, claim({ prefix: own, router: idOf(1, 200), seqno: 300, signedBy: 1 }));
  world.inject(2, 3, claim({ prefix: own, router: idOf(1, 100), seqno: 900, signedBy: 1 }));
  t.deepEqual(codes(world, 3), ['replayed-seqno', 'old-epoch']);
  const row = world.nodes
    .get(3)!
    .speaker.view(world.now)
    .find((r) => r.origin === 1)!;
  t.deepEqual([row.seqno, row.routerId], [500, '00000100000000c8']);
});

/**
 * Nodes 1 - 2 - 3, started at moments of their own as each sweeps at its own, and a LAN router behind 1 that loses its seqno: 900 behind,
 * under the router-id it had. `isSpared`: another router, behind 3, announces the same prefix for more.
 */
function seqnoLost(seed: number, isSpared: boolean) {
  const world = new Network(seed);
  const lost = prefix('2001:db8:77::/48');
  for (const node of [1, 2, 3]) {
    world.node(node);
    world.run((seed * 7919 * node) % 29_000);
  }
  for (const { authority } of world.nodes.values())
    for (const gateway of [1, 3]) authority.grantsOf.set(gateway, [prefix('2001:db8::/32')]);
  world.link(1, 2);
  world.link(2, 3);
  const lans = [world.lan(), world.lan()] as const;
  world.attach(1, lans[0]);
  world.attach(3, lans[1]);
  const [router, other] = [new Hand(world, lans[0], 'fe80::9', [7, 7]), new Hand(world, lans[1], 'fe80::8', [8, 8])];
  let seqno = 1000;
  const speak = () => {
    router.greet();
    other.greet();
    router.announce(String(lost), seqno, 0, 1600);
    if (isSpared) other.announce(String(lost), 7, 2000, 1600);
    world.at(4000, speak);
  };
  speak();
  world.run(60_000 + 7000 * seed);
  router.say((writer) => writer.wildcardRetraction());
  seqno = 100;
  world.run(1000);
  const usesIt = (node: number) =>
    world.nodes.get(node)!.routes.get(lost.key)?.choices[0]?.routerId === '0000000700000007';
  return { world, usesIt, accusations: () => [2, 3].flatMap((node) => codes(world, node)) };
}

for (const isSpared of [false, true]) {
  const how = isSpared ? 'while another announces its prefix' : 'alone';
  test(`a LAN router that lost its seqno, ${how}, is used again once all forgot it, and no member is accused of it`, (t) => {
    for (const seed of [1, 4, 9, 16, 19, 24]) {
      const { world, usesIt, accusations } = seqnoLost(seed, isSpared);
      t.deepEqual([1, 2, 3].map(usesIt), [false, false, false]);
      const took = world.until(() => [1, 2, 3].every(usesIt), 250_000);
      t.true(took !== undefined && took <= 235_000, `seed ${seed}: ${took} ms`);
      t.deepEqual(accusations(), [], `seed ${seed}`);
    }
  });
}

test('what was signed once does not come ahead again, however often newer seqnos are asked for', (t) => {
  const world = new Network(29, { seqnoPause: 0.001, requestBurst: 1e6 });
  for (let i = 1; i <= 3; i++) world.node(i);
  world.link(1, 2);
  world.link(2, 3);
  world.run(5000);
  const own = nodePrefix(overlay, 1);
  const newest = (of: number) => world.nodes.get(of)!.speaker.view(world.now, own)[0]!;
  const high = 256;
  for (let i = 0; i < 0x8001; i++) {
    const { routerId, seqno } = newest(1);
    const low = Number.parseInt(routerId.slice(8), 16);
    const writer = new PacketWriter(1200);
    writer.seqnoRequest(own.bytes, 64, (seqno + 1) & 0xffff, 64, high, low);
    world.inject(2, 1, writer.finish());
    if (i % 500 === 0) world.run(500);
    else world.now += 0.01;
  }
  world.run(5000);
  const { routerId, seqno } = newest(1);
  t.deepEqual([routerId, seqno], ['0000010000000066', 0x8001 + 1 - 2 * 0x3fff]);
  t.like(newest(3), { routerId, seqno, selected: true });
  t.deepEqual(world.nodes.get(3)!.reports, []);
  for (const kept of [2, 3, 500]) {
    world.inject(2, 3, claim({ prefix: own, router: idOf(1), seqno: kept, metric: 0, signedBy: 1 }));
  }
  t.is(world.nodes.get(3)!.speaker.counts().get('old-epoch'), 3);
  t.like(newest(3), { routerId, seqno, selected: true });
});

test('more nodes than an interface may rename lose their disks at once, and all are told of by one tunnel', (t) => {
  const world = line();
  const nodes = Array.from({ length: routerIdBurst + 200 }, (_, i) => 100 + i);
  const told = (epoch: number) => {
    for (const node of nodes) {
      world.inject(
        2,
        3,
        claim({ prefix: nodePrefix(overlay, node), router: idOf(node, epoch), seqno: 1, signedBy: node }),
      );
    }
  };
  told(100);
  told(200);
  const { speaker } = world.nodes.get(3)!;
  const epochs = speaker.view(world.now).filter(({ origin }) => origin! >= 100 && origin! < 100 + nodes.length);
  t.is(epochs.length, nodes.length);
  t.deepEqual(
    epochs.filter(({ routerId, selected }) => !routerId.endsWith('c8') || !selected),
    [],
  );
  t.is(speaker.counts().get('quota'), undefined);
});

test('a member that signs epoch after epoch takes what its tunnel may rename, not the places of all router-ids', (t) => {
  const world = line();
  const own = nodePrefix(overlay, 77);
  const tries = routerIdBurst + 500;
  for (let epoch = 1; epoch <= tries; epoch++) {
    world.inject(2, 3, claim({ prefix: own, router: idOf(77, epoch), seqno: 1, signedBy: 77 }));
  }
  const { speaker } = world.nodes.get(3)!;
  t.true(speaker.sizes().routerIds <= routerIdBurst + 10, `${speaker.sizes().routerIds}`);
  t.true(speaker.counts().get('quota')! >= tries - routerIdBurst - 10);
  // Nobody else pays for it.
  world.inject(2, 3, claim({ prefix: nodePrefix(overlay, 1), router: idOf(1, 2000), seqno: 1, signedBy: 1 }));
  const row = speaker.view(world.now).find(({ origin }) => origin === 1)!;
  t.is(row.routerId, '00000100000007d0');
});

test('what signatures do not stop: a lying metric attracts traffic', (t) => {
  const world = new Network(22);
  for (let i = 1; i <= 4; i++) world.node(i);
  for (const [a, b, delay] of [
    [1, 2, 5],
    [2, 3, 5],
    [1, 4, 50],
    [4, 3, 50],
  ] as const) {
    world.link(a, b, { delay });
  }
  world.run(5000);
  t.is(world.nodes.get(3)!.next(1), 2);
  const truth = world.nodes
    .get(3)!
    .speaker.view(world.now)
    .find((row) => row.origin === 1)!;
  const router = [
    Number.parseInt(truth.routerId.slice(0, 8), 16),
    Number.parseInt(truth.routerId.slice(8), 16),
  ] as const;
  world.change(2, 3, { delay: 200 });
  world.inject(4, 3, claim({ prefix: nodePrefix(overlay, 1), router, seqno: truth.seqno, metric: 0, signedBy: 1 }));
  world.run(10_000);
  t.is(world.nodes.get(3)!.next(1), 4);
});

test('a route waits for its origin’s certificate, which is asked of the neighbour that announced it', (t) => {
  const world = new Network(23);
  for (let i = 1; i <= 3; i++) world.node(i);
  world.nodes.get(3)!.authority.unknown.add(1);
  world.link(1, 2);
  world.link(2, 3);
  world.run(1000);
  const node = world.nodes.get(3)!;
  t.is(node.next(1), undefined);
  t.is(node.next(2), 2);
  t.deepEqual([...new Set(node.wanted)], [1]);
  t.is(node.speaker.view(world.now).find((row) => row.origin === 1)!.standing, 'unproven');
  node.authority.unknown.delete(1);
  world.send(3, { kind: 'certificateHeld', node: 1 });
  t.is(node.next(1), 2);
  node.authority.unknown.add(1);
  world.send(3, { kind: 'certificateLost', node: 1 });
  t.is(node.next(1), undefined);
});

test('a wrong signature that came before the certificate does not spoil the right one', (t) => {
  const world = new Network(24);
  for (let i = 1; i <= 3; i++) world.node(i);
  world.nodes.get(3)!.authority.unknown.add(1);
  world.link(2, 3);
  world.run(500);
  const own = nodePrefix(overlay, 1);
  world.inject(2, 3, claim({ prefix: own, router: idOf(1), seqno: 1, signedBy: 2 }));
  world.inject(2, 3, claim({ prefix: own, router: idOf(1), seqno: 1, signedBy: 1 }));
  world.nodes.get(3)!.authority.unknown.delete(1);
  world.send(3, { kind: 'certificateHeld', node: 1 });
  t.is(world.nodes.get(3)!.next(1), 2);
});

/** Of this many prefixes of LANs, each let out by a node and signed by another; one packet for every twelve. */
function lanClaims(count: number, egress: number, signedBy: number): Uint8Array[] {
  const claims = Array.from({ length: count }, (_, i) => ({
    prefix: prefix(`fd99:${(i + 1).toString(16)}::/32`),
    router: idOf(egress),
    seqno: 1,
    egress,
    signedBy,
  }));
  return Array.from({ length: Math.ceil(count / 12) }, (_, i) => claim(...claims.slice(12 * i, 12 * i + 12)));
}

/** Of those prefixes, how many a node uses. */
const lansUsed = ({ speaker }: TestNode, now: number) =>
  speaker.view(now).filter((row) => row.selected && String(row.prefix).startsWith('fd99:')).length;

/** 1 is announced to 3 by 2 and by 4. */
function two(seed: number): Network {
  const world = new Network(seed);
  for (let i = 1; i <= 4; i++) world.node(i);
  world.link(1, 2);
  world.link(1, 4);
  world.link(2, 3);
  world.link(3, 4);
  world.run(5000);
  return world;
}

test('false signatures are checked up to a bound, whoever else says the same is believed, and in the end who said them', (t) => {
  const world = two(31);
  const node = world.nodes.get(3)!;
  const { authority, speaker } = node;
  authority.grantsOf.set(1, [prefix('fd99::/16')]);
  const before = authority.verified;
  for (let i = 0; i < 100; i++) for (const packet of lanClaims(12, 1, 2)) world.inject(2, 3, packet);
  t.is(authority.verified - before, 400);
  t.is(speaker.counts().get('invalid-signature'), 400);
  t.is(speaker.counts().get('signature-rate'), 800);
  const [truth] = lanClaims(1, 1, 1);
  world.inject(2, 3, truth!);
  t.is(lansUsed(node, world.now), 0, 'nothing of the liar is looked at now, be it true');
  world.inject(4, 3, truth!);
  t.is(lansUsed(node, world.now), 1);
  t.not(node.next(1), undefined, 'what needs no check goes on');
  const unchecked = speaker.counts().get('signature-rate');
  world.run(50_000);
  world.inject(2, 3, truth!);
  t.is(speaker.counts().get('signature-rate'), unchecked, 'it has had nothing false checked for long enough');
});

test('who had too much checked is asked for all when it may be well again', (t) => {
  const world = two(32);
  const { authority } = world.nodes.get(3)!;
  for (let i = 0; i < 50; i++) for (const packet of lanClaims(12, 1, 2)) world.inject(2, 3, packet);
  const liar = world.nodes.get(2)!;
  const lan = prefix('fd99:1::/32');
  authority.grantsOf.set(2, [lan]);
  liar.authority.grantsOf.set(2, [lan]);
  world.send(2, { kind: 'originate', prefix: lan, metric: 0 });
  const isUsed = () => world.nodes.get(3)!.routes.get(lan.key)?.choices[0]?.egress === 2;
  world.run(2000);
  t.false(isUsed(), 'dropped unchecked, and acknowledged: nobody repeats it');
  world.run(60_000);
  t.true(isUsed());
});

test('what waited for a certificate is checked when it comes at the cost of who brought it', (t) => {
  const world = two(33);
  const node = world.nodes.get(3)!;
  node.authority.unknown.add(1);
  world.send(3, { kind: 'certificateLost', node: 1 });
  node.authority.grantsOf.set(1, [prefix('fd99::/16')]);
  const packets = lanClaims(1200, 1, 2);
  const before = node.authority.verified;
  for (const packet of packets) world.inject(2, 3, packet);
  for (const packet of packets) world.inject(2, 3, packet);
  const [truth] = lanClaims(12, 1, 1);
  world.inject(4, 3, truth!);
  t.is(node.authority.verified, before);
  node.authority.unknown.delete(1);
  world.send(3, { kind: 'certificateHeld', node: 1 });
  t.true(node.authority.verified - before <= 400 + 12 + 4, `${node.authority.verified - before} checked`);
  t.is(lansUsed(node, world.now), 12);
});

test('one neighbour’s false signatures leave room for the true one of another, and what is missing is asked for', (t) => {
  const world = two(34);
  world.node(5);
  world.link(3, 5);
  const node = world.nodes.get(3)!;
  node.authority.unknown.add(1);
  world.send(3, { kind: 'certificateLost', node: 1 });
  const own = nodePrefix(overlay, 1);
  const { seqno } = world.nodes.get(2)!.speaker.view(world.now, own)[0]!;
  const say = (from: number, said: number, signedBy: number, signedSeqno = said) =>
    world.inject(from, 3, claim({ prefix: own, router: idOf(1), seqno: said, signedBy, signedSeqno }));
  say(5, seqno, 5);
  for (let i = 0; i < 10; i++) say(2, seqno, 2, i);
  say(4, seqno, 1);
  node.authority.unknown.delete(1);
  world.send(3, { kind: 'certificateHeld', node: 1 });
  const standings = () => node.speaker.view(world.now, own).map(({ standing }) => standing);
  t.false(standings().includes('unproven'));
  // Signatures of other seqnos push out the true one.
  node.authority.unknown.add(1);
  world.send(3, { kind: 'certificateLost', node: 1 });
  say(4, seqno, 1);
  for (let i = 1; i <= 10; i++) say(2, seqno + i, 2);
  node.authority.unknown.delete(1);
  world.send(3, { kind: 'certificateHeld', node: 1 });
  t.true(standings().every((standing) => standing === 'unproven'));
  world.run(500);
  t.not(node.next(1), undefined);
});

test('a certificate that comes again has nothing checked anew, one with another key all', (t) => {
  const world = two(35);
  const node = world.nodes.get(3)!;
  node.authority.grantsOf.set(1, [prefix('fd99::/16')]);
  for (const packet of lanClaims(120, 1, 1)) world.inject(4, 3, packet);
  t.is(lansUsed(node, world.now), 120);
  const before = node.authority.verified;
  world.send(3, { kind: 'certificateHeld', node: 1 });
  t.is(lansUsed(node, world.now), 120);
  t.true(node.authority.verified - before <= 2);
  node.authority.keyOf.set(1, 77);
  world.send(3, { kind: 'certificateHeld', node: 1 });
  t.is(lansUsed(node, world.now), 0);
});

test('a signature travels until it is acknowledged, and periodic updates go bare', (t) => {
  const world = new Network(25, { tunnelUpdate: 20_000 });
  world.node(1);
  world.node(2);
  const packets: string[] = [];
  const node = world.nodes.get(1)!;
  const handle = node.speaker.tick.bind(node.speaker);
  node.speaker.tick = (now) => {
    const effects = handle(now);
    for (const effect of effects) if (effect.kind === 'sendPacket') packets.push(...tlvsOf(effect.bytes));
    return effects;
  };
  world.link(1, 2);
  world.run(3000);
  packets.length = 0;
  world.run(60_000);
  const updates = packets.filter((line) => line.startsWith('update fd12:3456:7800:1::/64'));
  t.true(updates.length >= 2);
  t.false(updates.some((line) => line.includes('signed')));
});

test('a LAN prefix is installed elsewhere only with a signed egress whose certificate grants it', (t) => {
  const world = new Network(26);
  for (let i = 1; i <= 3; i++) world.node(i);
  world.link(1, 2);
  world.link(2, 3);
  const granted = prefix('192.0.2.0/24');
  for (const node of world.nodes.values()) node.authority.grantsOf.set(1, [granted]);
  world.send(1, { kind: 'originate', prefix: granted, metric: 0 });
  world.send(1, { kind: 'originate', prefix: prefix('198.51.100.0/24'), metric: 0 });
  world.run(2000);
  const route = world.nodes.get(3)!.routes.get(granted.key)!;
  t.is(route.choices[0]!.egress, 1);
  t.is(route.choices[0]!.neighbourNode, 2);
  t.is(world.nodes.get(3)!.routes.get(prefix('198.51.100.0/24').key), undefined);
  // 2 claims what it was not granted, and what 1 was granted as if it were its own.
  world.inject(2, 3, claim({ prefix: prefix('203.0.113.0/24'), router: idOf(2), seqno: 1, egress: 2, signedBy: 2 }));
  world.inject(2, 3, claim({ prefix: granted, router: idOf(2), seqno: 1, egress: 2, signedBy: 2 }));
  world.inject(2, 3, claim({ prefix: prefix('203.0.113.0/24'), router: idOf(2), seqno: 1 }));
  t.is(world.nodes.get(3)!.speaker.counts().get('not-granted'), 3);
  t.is(world.nodes.get(3)!.routes.get(granted.key)!.choices[0]!.egress, 1);
});

test('a default route is taken only by the operator’s own word', (t) => {
  const world = new Network(27);
  world.node(1);
  world.node(2);
  world.node(3, { acceptDefaultRoutes: true });
  world.link(1, 2);
  world.link(1, 3);
  const all = prefix('::/0');
  for (const node of world.nodes.values()) node.authority.grantsOf.set(1, [all]);
  world.send(1, { kind: 'originate', prefix: all, metric: 0 });
  world.run(2000);
  t.is(world.nodes.get(2)!.routes.get(all.key), undefined);
  t.is(world.nodes.get(3)!.routes.get(all.key)!.choices[0]!.egress, 1);
});

test('two machines with one key do not chase each other within an epoch: beyond a few moves, one a second', (t) => {
  const world = line();
  const own = nodePrefix(overlay, 3);
  const seqno = () => world.nodes.get(3)!.speaker.view(world.now, own)[0]!.seqno;
  const ahead = () => world.inject(2, 3, claim({ prefix: own, router: idOf(3), seqno: seqno() + 1, signedBy: 3 }));
  const before = seqno();
  for (let i = 0; i < 100; i++) ahead();
  t.is(seqno(), before + 2 * defaultTuning.seqnoBurst);
  const late = world.nodes.get(2)!.speaker.view(world.now, own)[0]!.seqno;
  world.run(1500);
  t.is(seqno(), before + 2 * defaultTuning.seqnoBurst + 2, 'the last is passed when its turn comes');
  t.true(late < seqno());
  t.is(world.nodes.get(2)!.speaker.view(world.now, own)[0]!.seqno, seqno(), 'and everybody is told');
});

test('two machines with one key do not chase each other', (t) => {
  const world = line();
  const own = nodePrefix(overlay, 3);
  for (let epoch = 200; epoch < 230; epoch++) {
    world.inject(2, 3, claim({ prefix: own, router: idOf(3, epoch), seqno: 1, signedBy: 3 }));
  }
  t.is(world.nodes.get(3)!.stored!.epoch, 201, 'one step a minute');
  world.inject(2, 3, claim({ prefix: own, router: idOf(3, 900), seqno: 1, signedBy: 2 }));
  t.true(codes(world, 3).includes('own-prefix-by-another'));
});

test('who does not relay announces only what is its own: nobody sends through it', (t) => {
  const world = new Network(28);
  world.node(1);
  world.node(2, { relays: false });
  world.node(3);
  world.node(4);
  world.link(1, 2);
  world.link(2, 3);
  world.run(2000);
  const to = (from: number, node: number) => world.nodes.get(from)!.routes.get(nodePrefix(overlay, node).key);
  t.is(to(1, 3), undefined, 'no way through it');
  t.is(to(1, 2)?.choices[0]?.neighbourNode, 2, 'itself it is reached');
  t.is(to(2, 3)?.choices[0]?.neighbourNode, 3, 'and reaches all');
  world.link(1, 4);
  world.link(4, 3);
  world.run(2000);
  t.deepEqual(
    to(1, 3)?.choices.map((choice) => choice.neighbourNode),
    [4],
  );
});
