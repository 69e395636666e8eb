import test from 'ava';
import { nodePrefix } from '../../src/addr/node-number.js';
import { signedOctets } from '../../src/routing/admission.js';
import { PacketWriter } from '../../src/routing/codec/packet-writer.js';
import type { SpeakerEffect } from '../../src/routing/contract.js';
import { Destination } from '../../src/routing/destination.js';
import { Hand, saidSince } from './hand.js';
import { Network, overlay, prefix, signAs, type TestNode } from './network.js';
import { tlvsOf } from './tlvs.js';

const text = '2001:db8:9::/48';

/**
 * A node on a LAN without split horizon, so that it announces back what it hears there, and two routers of one origin.
 */
function lanWorld(seed: number) {
  const world = new Network(seed);
  const node = world.node(1);
  const lan = world.lan();
  world.attach(1, lan, { type: 'tunnel' });
  world.run(100);
  const near = new Hand(world, lan, 'fe80::8');
  const far = new Hand(world, lan, 'fe80::9');
  for (const hand of [near, far]) hand.keepGreeting();
  world.run(5000);
  const row = (hand: Hand) =>
    node.speaker
      .view(world.now, prefix(text))
      .find(({ neighbour }) => neighbour?.at(-1) === Number(hand.address.at(-1)));
  return { world, node, lan, near, far, row };
}

test('feasible is a retraction, what no source knows, a newer seqno, or an equal one and a smaller announced metric', (t) => {
  const destination = new Destination(0, prefix(text), 0);
  const router = 3;
  t.true(destination.isFeasible(router, 7, 60_000), 'no source');
  destination.noteSent(router, 0xfffe, 100, 0, 16);
  for (const [seqno, metric, feasible] of [
    [0xfffe, 99, true],
    [0xfffe, 100, false],
    [0xfffe, 101, false],
    [0xffff, 60_000, true],
    [3, 60_000, true],
    [0xfffd, 1, false],
    [0x7ffe, 1, false],
    [0xfffd, 0xffff, true],
  ] as const) {
    t.is(destination.isFeasible(router, seqno, metric), feasible, `${seqno} ${metric}`);
  }
  t.true(destination.isFeasible(router + 1, 1, 60_000), 'another router-id');
});

test('the source table answers for every update that leaves; a retraction neither lowers nor refreshes it', (t) => {
  const { world, lan, near, far, row } = lanWorld(61);
  let checked = 0;
  let from = world.now;
  const answersForAll = () => {
    for (const { line } of saidSince(world, lan, from)) {
      const sent = /^update 2001:db8:9::\/48 .* seqno (\d+) metric (\d+) /.exec(line);
      if (!sent) continue;
      checked++;
      const { seqno, metric } = (row(near) ?? row(far))!.distance!;
      t.true(seqno > Number(sent[1]) || (seqno === Number(sent[1]) && metric <= Number(sent[2])), line);
    }
    from = world.now;
  };
  for (const [seqno, metric] of [
    [7, 400],
    [7, 100],
    [7, 300],
    [8, 500],
    [8, 90],
  ] as const) {
    near.announce(text, seqno, metric);
    for (let i = 0; i < 500; i++) {
      world.run(1);
      answersForAll();
    }
  }
  t.true(checked >= 4, `${checked}`);
  const before = row(near)!.distance;
  t.deepEqual(before, { seqno: 8, metric: 186 });
  far.announce(text, 8, 900);
  near.announce(text, 8, 0xffff);
  world.run(1000);
  t.true(saidSince(world, lan, from).some(({ line }) => line === `retract ${text}`));
  t.deepEqual(row(far)!.distance, before);
});

test('a source is forgotten three minutes after the last update left, whatever was retracted meanwhile', (t) => {
  const { world, near, far, row } = lanWorld(62);
  near.announce(text, 7, 100);
  world.run(1000);
  near.announce(text, 7, 0xffff);
  far.announce(text, 7, 900, 0xfffe);
  const retracted = world.now;
  world.run(170_000);
  near.announce(text, 7, 0xffff);
  t.false(row(far)!.feasible);
  t.deepEqual(row(far)!.distance, { seqno: 7, metric: 196 });
  const took = world.until(() => row(far)!.selected, 60_000);
  t.true(took !== undefined && world.now - retracted >= 179_000 - 1000, `${world.now - retracted} ms`);
  t.true(world.now - retracted <= 180_000 + 30_000 + 1000, 'swept every 30 s');
});

/** From now on it says nothing of any route: what was heard of it before stays. */
function hushed({ speaker }: TestNode): void {
  const [handle, tick] = [speaker.handle.bind(speaker), speaker.tick.bind(speaker)];
  const isQuiet = (effect: SpeakerEffect) =>
    effect.kind !== 'sendPacket' || !tlvsOf(effect.bytes).some((line) => /^(update|retract)/.test(line));
  speaker.handle = (event, now) => handle(event, now).filter(isQuiet);
  speaker.tick = (now) => tick(now).filter(isQuiet);
}

for (const [what, leave] of [
  ['is lost', 'retract'],
  ['goes on under another router-id and is lost then', 'rename'],
] as const) {
  test(`three minutes are counted from when a way ${what}, however long ago it was told`, (t) => {
    const world = new Network(67);
    const node = world.node(1);
    for (const member of [2, 3, 4]) {
      world.node(member);
      world.link(1, member);
    }
    hushed(world.nodes.get(4)!);
    world.run(5000);
    const home = nodePrefix(overlay, 77);
    const announce = (from: number, epoch: number, metric: number, routerIdHigh = 77 * 256) => {
      const signature = signAs(77, signedOctets(home, routerIdHigh, epoch, 1, 0));
      const writer = new PacketWriter(1200);
      const { bytes: prefix, length: prefixLength } = home;
      const [seqno, interval, egress] = [1, 0xffff, undefined];
      writer.update({
        prefix,
        prefixLength,
        routerIdHigh,
        routerIdLow: epoch,
        seqno,
        metric,
        interval,
        egress,
        signature: metric === 0xffff ? undefined : signature,
      });
      world.inject(from, 1, writer.finish());
    };
    const row = () => node.speaker.view(world.now, home).find(({ interface: at }) => at === world.interfaceOf(1, 4))!;
    announce(2, 7, 100);
    world.run(2000);
    announce(4, 7, 5000);
    world.run(200_000);
    t.false(row().feasible);
    if (leave === 'rename') announce(2, 8, 100);
    world.run(leave === 'rename' ? 2000 : 0);
    announce(2, 8, 0xffff);
    const lost = world.now;
    for (let i = 0; i < 175; i++) {
      t.false(row().selected || row().feasible, `${(world.now - lost) / 1000} s`);
      world.run(1000);
    }
    const took = world.until(() => row().feasible, 40_000);
    t.true(took !== undefined, 'then it is forgotten');
  });
}

test('a route is not preferred for a newer seqno, nor used when infinite or unfeasible', (t) => {
  const { world, node, near, far, row } = lanWorld(63);
  near.announce(text, 7, 100);
  world.run(1000);
  far.announce(text, 9, 300);
  world.run(20_000);
  t.true(row(far)!.feasible);
  t.true(row(near)!.selected, 'older and shorter');
  far.announce(text, 7, 250);
  near.announce(text, 7, 0xffff);
  t.is(node.routes.get(prefix(text).key)?.choices.length, 0);
  t.false(row(far)!.feasible);
  t.false(row(near)!.selected);
  far.announce(text, 8, 250);
  t.true(row(far)!.selected);
});

test('who asks us for a newer seqno is not left waiting because we have just asked it', (t) => {
  const { world, lan, near, far, row } = lanWorld(64);
  near.announce(text, 7, 0);
  world.run(2000);
  // By us, so it is past what we have announced; but better than the near one, once that has become dear.
  far.announce(text, 7, 192);
  world.run(2000);
  const from = world.now;
  near.greet(1500);
  far.requestSeqno(text, 8);
  world.run(200);
  t.true(row(near)!.selected);
  const requests = saidSince(world, lan, from).filter(({ line }) => line.startsWith(`seqnoRequest ${text}`));
  t.true(
    requests.some(({ to }) => to !== 'multicast' && to[15] === 9),
    'the far one was asked, whose way would be better',
  );
  const passedOn = requests.filter(({ to }) => to !== 'multicast' && to[15] === 8);
  t.deepEqual(
    passedOn.map(({ line }) => line),
    [`seqnoRequest ${text} id 0000000900000009 seqno 8 hops 63`],
  );
  t.false(requests.some(({ to }) => to === 'multicast'));
});

test('a request for a seqno that is reached, or of another router-id, is answered by an update, and goes no further', (t) => {
  const { world, lan, near, far } = lanWorld(69);
  near.announce(text, 7, 0);
  for (const [routerId, seqno] of [
    [[9, 9], 7],
    [[9, 9], 6],
    [[9, 10], 50],
  ] as const) {
    world.run(2000);
    far.routerId = routerId;
    const from = world.now;
    far.requestSeqno(text, seqno);
    world.run(300);
    const said = saidSince(world, lan, from).filter(({ line }) => line.includes(text));
    t.deepEqual(
      said.map(({ to, line }) => [to.at(-1), line.slice(0, 50)]),
      [[9, `update ${text} id 0000000900000009 seqno 7`]],
      `${routerId} ${seqno}`,
    );
  }
});

test('an unfeasible update of the way in use is ignored entirely: it does not keep it alive either', (t) => {
  const { world, near, row } = lanWorld(71);
  near.announce(text, 7, 100, 400);
  const announced = world.now;
  world.run(1000);
  const before = row(near)!;
  while (world.now - announced < 13_500) {
    near.announce(text, 7, 900, 400);
    const { metric, seqno, distance, selected } = row(near)!;
    t.deepEqual([metric, seqno, distance, selected], [before.metric, before.seqno, before.distance, true]);
    world.run(500);
  }
  world.run(announced + 14_200 - world.now);
  t.false(row(near)!.selected, 'after 3.5 of the intervals it came with');
  near.announce(text, 8, 900, 400);
  t.true(row(near)!.selected);
});

test('a retraction does not make a route last longer: it is forgotten when it would have expired', (t) => {
  const { world, near, row } = lanWorld(72);
  near.announce(text, 7, 100, 400);
  const announced = world.now;
  world.run(10_000);
  for (let i = 0; i < 3; i++) {
    near.announce(text, 7, 0xffff, 400);
    world.run(1000);
  }
  t.is(row(near)!.metric, 0xffff);
  world.run(announced + 14_200 - world.now);
  t.is(row(near), undefined);
});

test('two routers of one router-id are two neighbours, each with its own route', (t) => {
  const { world, node, near, far, row } = lanWorld(70);
  near.announce(text, 7, 100);
  far.announce(text, 7, 50);
  world.run(2000);
  t.deepEqual([near.routerId, node.speaker.neighbours().length], [far.routerId, 2]);
  t.deepEqual([row(near)!.announced, row(far)!.announced], [100, 50]);
});

test('a request with one hop left goes no further; with two it goes to one neighbour, once', (t) => {
  const { world, lan, near, far } = lanWorld(65);
  near.announce(text, 7, 0);
  world.run(2000);
  const requests = (from: number) => saidSince(world, lan, from).filter(({ line }) => line.startsWith('seqnoRequest'));
  const from = world.now;
  far.requestSeqno(text, 8, 1);
  world.run(1000);
  t.deepEqual(requests(from), []);
  for (let i = 0; i < 5; i++) far.requestSeqno(text, 8, 2);
  world.run(1000);
  t.is(requests(from).length, 1);
  t.regex(requests(from)[0]!.line, / hops 1$/);
  t.is(requests(from)[0]!.to.at(-1), 8);
  const answeredFrom = world.now;
  near.announce(text, 9, 0);
  world.run(200);
  const answers = saidSince(world, lan, answeredFrom).filter(({ line }) => / seqno 9 /.test(line));
  t.true(
    answers.some(({ to }) => to.at(-1) === 9),
    'a newer one than was asked for is an answer too',
  );
});

test('of two that asked for different seqnos each is told as soon as its own is there', (t) => {
  const { world, lan, near, far } = lanWorld(68);
  const third = new Hand(world, lan, 'fe80::7');
  third.keepGreeting();
  world.run(5000);
  near.announce(text, 7, 0);
  world.run(2000);
  far.requestSeqno(text, 8);
  third.requestSeqno(text, 9);
  world.run(200);
  const told = (seqno: number) => {
    const from = world.now;
    near.announce(text, seqno, 0);
    world.run(200);
    const updates = saidSince(world, lan, from).filter(({ line }) => line.includes(` seqno ${seqno} `));
    return updates.map(({ to }) => to.at(-1));
  };
  t.true(told(8).includes(9), 'the older one, while the newer is waited for');
  t.true(told(9).includes(7));
});

test('a request that was passed on and stays unanswered is for its asker to say again, not for us', (t) => {
  const { world, lan, near, far } = lanWorld(67);
  near.announce(text, 7, 0);
  world.run(2000);
  const from = world.now;
  far.requestSeqno(text, 8);
  world.run(30_000);
  const requests = () => saidSince(world, lan, from).filter(({ line }) => line.startsWith(`seqnoRequest ${text}`));
  t.is(requests().length, 1);
  far.requestSeqno(text, 8);
  world.run(1000);
  t.is(requests().length, 2);
});

test('who has only unfeasible ways asks all of them for a newer seqno, again after 2 and 4 s, and no more', (t) => {
  const { world, lan, near, far, row } = lanWorld(66);
  const third = new Hand(world, lan, 'fe80::7');
  third.keepGreeting();
  world.run(5000);
  near.announce(text, 7, 100);
  world.run(1000);
  for (const hand of [far, third]) hand.announce(text, 7, 900);
  world.run(1000);
  const from = world.now;
  near.announce(text, 7, 0xffff);
  world.run(30_000);
  t.false(row(far)!.selected);
  const requests = saidSince(world, lan, from).filter(({ line }) => line.startsWith(`seqnoRequest ${text}`));
  for (const last of [7, 9]) {
    const times = requests.filter(({ to }) => to.at(-1) === last).map(({ at }) => at - from);
    t.is(times.length, 3, `${last}: ${times}`);
    for (const [i, due] of [0, 2000, 6000].entries()) t.true(Math.abs(times[i]! - due) <= 200, `${last}: ${times}`);
  }
  for (const { line } of requests) t.is(line, `seqnoRequest ${text} id 0000000900000009 seqno 8 hops 64`);
  t.is(requests.length, 6, 'who announces nothing is not asked');
});
