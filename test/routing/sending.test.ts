import test from 'ava';
import { Hand, saidSince } from './hand.js';
import { Network, prefix } from './network.js';
import { tlvsOf } from './tlvs.js';

const minute = 60_000;

/** A node on a LAN of this type, for a while, with one steady neighbour. */
function lanWorld(seed: number, type: 'wired' | 'tunnel' | 'wireless' = 'wired', mtu = 1400) {
  const world = new Network(seed);
  const node = world.node(1);
  const lan = world.lan();
  world.attach(1, lan, { type }, mtu);
  return { world, node, lan, said: (from: number) => saidSince(world, lan, from) };
}

const isHello = ({ line }: { line: string }) => line.startsWith('hello');

for (const [type, copies] of [
  ['wired', 2],
  ['tunnel', 2],
  ['wireless', 3],
] as const) {
  test(`on a ${type} LAN, where nothing is acknowledged, each change is said ${copies} times`, (t) => {
    const { world, said } = lanWorld(78, type);
    const announced = prefix('2001:db8::/48');
    world.run(2000);
    const times = (change: () => void) => {
      const from = world.now;
      change();
      world.run(3000);
      return said(from).filter(({ line }) => /^(update|retract) 2001:db8::/.test(line)).length;
    };
    for (let i = 0; i < 2; i++) {
      t.is(
        times(() => world.send(1, { kind: 'originate', prefix: announced, metric: 0 })),
        copies,
      );
      t.is(
        times(() => world.send(1, { kind: 'withdraw', prefix: announced })),
        copies,
      );
    }
  });
}

test('two Hellos at the start, the retraction of everything and the request for everything', (t) => {
  const { world, lan, said } = lanWorld(71);
  world.run(1000);
  const first = tlvsOf(world.heardOn(lan)[0]!.bytes);
  t.regex(first[0]!, /^hello \d+ every 400/, 'whom nobody knows is not believed before a Hello');
  t.true(first.includes('retract *'));
  t.true(first.includes('routeRequest *'));
  const hellos = said(0).filter(isHello);
  t.true(hellos.length >= 2 && hellos[1]!.at - hellos[0]!.at <= 300, `${hellos.map(({ at }) => at)}`);
});

test('at the end the retraction of everything and a Hello that expires at once, then silence', (t) => {
  const { world, node, said } = lanWorld(72);
  world.run(10_000);
  const from = world.now;
  world.send(1, { kind: 'stopping' });
  const lines = said(from).map(({ line }) => line);
  t.is(lines[0], 'retract *');
  t.regex(lines[1]!, /^hello \d+ every 10( |$)/);
  world.run(minute);
  t.is(said(from).length, lines.length);
  t.is(node.speaker.deadline(), Number.POSITIVE_INFINITY);
});

for (const [type, each] of [
  ['wired', 3],
  ['tunnel', 1],
  ['wireless', 1],
] as const) {
  test(`IHU with every Hello but on wired LANs, there with every third: ${type}`, (t) => {
    const { world, lan, said } = lanWorld(73, type);
    world.run(100);
    new Hand(world, lan, 'fe80::9').keepGreeting();
    world.run(10_000);
    const from = world.now;
    world.run(5 * minute);
    const hellos = said(from).filter(isHello);
    const ihus = said(from).filter(({ line }) => line.startsWith('ihu fe80::9 rxcost'));
    t.true(hellos.length >= 75, `${hellos.length}`);
    t.true(Math.abs(ihus.length - hellos.length / each) <= 1, `${ihus.length} of ${hellos.length}`);
    for (const { line } of ihus) t.regex(line, / every 1200( |$)/, 'three times the Hello interval');
    const withHello = new Set(hellos.map(({ at }) => at));
    for (const { at } of ihus) t.true(withHello.has(at), 'in the packet of a Hello');
  });
}

test('all that is selected is announced in every Update interval, on a LAN and in a tunnel', (t) => {
  const { world, node, lan, said } = lanWorld(74);
  world.node(2);
  world.link(1, 2);
  for (const { authority } of world.nodes.values()) authority.grantsOf.set(1, [prefix('2001:db8::/32')]);
  const all = Array.from({ length: 300 }, (_, i) => `2001:db8:${(i + 1).toString(16)}::/48`);
  for (const text of all) world.send(1, { kind: 'originate', prefix: prefix(text), metric: 0 });
  world.run(30_000);
  const from = world.now;
  world.run(3 * minute);
  const times = new Map<string, number[]>(all.map((text) => [text, [from]]));
  for (const { at, line } of said(from)) times.get(/^update (\S+)/.exec(line)?.[1] ?? '')?.push(at);
  for (const [text, at] of times) {
    for (const [i, time] of [...at, world.now].entries()) {
      if (i > 0) t.true(time - at[i - 1]! <= 16_000 + 200, `${text}: ${time - at[i - 1]!} ms`);
    }
  }
  t.true(node.running);
  // In tunnels by their own interval, 300 s, although nothing has changed: what the neighbour forgot comes back.
  const second = world.nodes.get(2)!;
  world.restart(2, { stored: second.stored });
  world.run(1000);
  t.true(second.routes.size >= all.length);
  const octets = node.octetsSent;
  world.send(1, { kind: 'interfaceDown', interface: lan });
  world.run(300_000);
  t.true(node.octetsSent - octets >= all.length * 10, `${node.octetsSent - octets} octets in a tunnel`);
});

test('what is urgent leaves within 0.2 s: a route lost, another router-id, an acknowledgement', (t) => {
  const { world, lan, said } = lanWorld(75, 'tunnel');
  const text = '2001:db8:9::/48';
  world.run(100);
  const hand = new Hand(world, lan, 'fe80::9');
  hand.keepGreeting();
  world.run(1000);
  for (let round = 0; round < 20; round++) {
    hand.routerId = [9, 100 + round];
    let from = world.now;
    hand.announce(text, 7, 100);
    world.run(3000);
    const id = `00000009${(100 + round).toString(16).padStart(8, '0')}`;
    const announced = said(from).find(({ line }) => line.startsWith(`update ${text} id ${id}`));
    t.true(announced !== undefined && announced.at - from <= 200, `router-id: ${announced?.at} ${from}`);
    from = world.now;
    hand.say((writer) => writer.ackRequest(7 + round, 100));
    world.run(1000);
    const ack = said(from).find(({ line }) => line === `ack ${7 + round}`);
    t.true(ack !== undefined && ack.at - from <= 200 && ack.to !== 'multicast');
    if (round % 2 === 0) continue;
    from = world.now;
    hand.announce(text, 7, 0xffff);
    world.run(3000);
    const retracted = said(from).filter(({ line }) => line === `retract ${text}`);
    t.true(retracted[0]!.at - from <= 200, `${retracted[0]!.at - from} ms`);
    t.true(retracted.length >= 2, 'twice, as nobody acknowledges it');
  }
});

test('what a LAN router announces is told as soon as it is known, however much comes at once', (t) => {
  const { world, lan, said } = lanWorld(78, 'tunnel');
  world.run(3000);
  const hand = new Hand(world, lan, 'fe80::9');
  hand.keepGreeting();
  world.run(1000);
  hand.routerId = [9, 9];
  const from = world.now;
  const texts = Array.from({ length: 200 }, (_, i) => `2001:db8:${(i + 1).toString(16)}::/48`);
  for (const text of texts) hand.announce(text, 7, 100);
  world.run(1000);
  const told = said(from);
  for (const text of texts) {
    const first = told.find(({ line }) => line.startsWith(`update ${text} `));
    t.true(first !== undefined && first.at - from <= 50, `${text} after ${first && first.at - from} ms`);
  }
});

test('an acknowledgement is in time even for who wants it sooner', (t) => {
  const { world, lan, said } = lanWorld(76);
  world.run(100);
  const hand = new Hand(world, lan, 'fe80::9');
  hand.greet();
  world.run(1000);
  const from = world.now;
  hand.say((writer) => writer.ackRequest(77, 1));
  world.run(1000);
  const ack = said(from).find(({ line }) => line === 'ack 77')!;
  t.true(ack.at - from <= 10, `${ack.at - from} ms for 10`);
});

for (const mtu of [512, 1232, 1400]) {
  test(`packets are filled, never larger than may be, and paced: ${mtu} octets`, (t) => {
    const { world, lan } = lanWorld(77, 'wired', mtu);
    for (let i = 1; i <= 2000; i++) {
      world.send(1, { kind: 'originate', prefix: prefix(`2001:db8:${i.toString(16)}::/48`), metric: 0 });
    }
    world.run(40_000);
    const packets = world.heardOn(lan);
    t.true(packets.every(({ bytes }) => bytes.length <= mtu));
    const ofTable = packets.filter(({ bytes }) => tlvsOf(bytes).filter((line) => line.startsWith('update')).length > 5);
    const full = ofTable.filter(({ bytes }) => bytes.length > mtu - 40);
    t.true(full.length >= 0.9 * ofTable.length, `${full.length} of ${ofTable.length} are full`);
    const perMoment = new Map<number, number>();
    for (const { at } of packets) perMoment.set(at, (perMoment.get(at) ?? 0) + 1);
    t.true(Math.max(...perMoment.values()) <= 8, 'at most eight at once');
    const busy = [...perMoment].filter(([, count]) => count === 8).map(([at]) => at);
    for (const [i, at] of busy.entries()) if (i > 0) t.true(at - busy[i - 1]! >= 10, 'and then 10 ms of silence');
  });
}

test('what is periodic has jitter, Hellos and full tables: no two nodes stay in step', (t) => {
  const { world, said } = lanWorld(78);
  world.send(1, { kind: 'originate', prefix: prefix('2001:db8::/48'), metric: 0 });
  world.run(20_000);
  const from = world.now;
  world.run(20 * minute);
  for (const [starts, interval] of [
    ['hello', 4000],
    ['update 2001:db8::/48', 16_000],
  ] as const) {
    const times = said(from)
      .filter(({ line }) => line.startsWith(starts))
      .map(({ at }) => at);
    t.true(times.length >= (20 * minute) / interval, starts);
    const gaps = times.slice(1).map((at, i) => at - times[i]!);
    const [least, most] = [Math.min(...gaps), Math.max(...gaps)];
    t.true(least >= 0.9 * interval - 1 && most <= interval + 1, `${starts}: ${least} ${most}`);
    t.true(most - least > interval / 20, `${starts}: spread over that`);
  }
});

for (const [seconds, every] of [
  [4, 3],
  [200, 3],
  [300, 1],
  [600, 1],
] as const) {
  test(`with a Hello each ${seconds} s every IHU, and every update, comes before what the one before promised is over`, (t) => {
    const world = new Network(95);
    world.node(1);
    const lan = world.lan();
    world.attach(1, lan, { helloInterval: seconds * 1000 });
    world.send(1, { kind: 'originate', prefix: prefix('2001:db8:1::/48'), metric: 0 });
    const router = new Hand(world, lan, 'fe80::9');
    const greet = () => {
      router.greet(96, 100 * seconds);
      world.at(seconds * 1000, greet);
    };
    greet();
    world.run(20_000 * seconds);
    const said = saidSince(world, lan, 5000 * seconds);
    const hellos = said.filter(({ line }) => line.startsWith('hello '));
    for (const [start, least] of [
      ['ihu ', Math.floor(hellos.length / every)],
      ['update 2001:db8:1::', 2],
    ] as const) {
      const lines = said.filter(({ line }) => line.startsWith(start));
      t.true(lines.length >= least, `${lines.length} of ${start}in ${hellos.length} Hellos`);
      lines.slice(1).forEach(({ at }, i) => {
        const promised = 10 * Number(/every (\d+)/.exec(lines[i]!.line)![1]);
        t.true(at - lines[i]!.at <= promised, `${start}after ${at - lines[i]!.at} of ${promised} ms`);
      });
    }
  });
}
