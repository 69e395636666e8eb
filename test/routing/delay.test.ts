import test from 'ava';
import { DelayMeter, stampOf } from '../../src/routing/delay.js';
import { Hand, saidSince } from './hand.js';
import { Network } from './network.js';

const minute = 60_000;

/** One sample of this round trip, of which the neighbour kept the packet for so long; two clocks that know nothing of each other. */
function sample(meter: DelayMeter, now: number, roundTrip: number, kept = 700): void {
  const [ours, theirs] = [now - roundTrip - kept, now + 12_345_678];
  meter.helloStamped(stampOf(theirs), now);
  meter.ihuStamped(stampOf(ours), stampOf(theirs - kept), now);
}

test('the delay costs nothing up to 10 ms, 150 from 120 ms on, and in between its share', (t) => {
  for (const [rtt, penalty] of [
    [0, 0],
    [10, 0],
    [65, 75],
    [98, 120],
    [120, 150],
    [5000, 150],
  ] as const) {
    const meter = new DelayMeter();
    t.is(meter.penalty(1_000_000), 0, 'not measured');
    sample(meter, 1_000_000, rtt);
    t.is(meter.rtt, rtt);
    t.is(meter.penalty(1_000_000), penalty, `${rtt} ms`);
  }
});

test('stamps go round after 72 minutes, each clock’s at its own time', (t) => {
  const round = 2 ** 32 / 1000;
  for (const now of [round - 0.02, round, round + 0.5, round + 600, 5 * round + 0.1]) {
    for (const apart of [0, 12_345, round - 10, round - 300]) {
      const meter = new DelayMeter();
      meter.helloStamped(stampOf(now + apart), now);
      t.true(meter.ihuStamped(stampOf(now - 540), stampOf(now + apart - 500), now), `${now}, ${apart}`);
      t.true(Math.abs(meter.rtt! - 40) < 0.01, `${meter.rtt} at ${now}, ${apart}`);
    }
  }
});

test('a sample counts for a sixth: the average keeps 0.836 of what was', (t) => {
  const meter = new DelayMeter();
  sample(meter, 1_000_000, 10);
  sample(meter, 1_004_000, 110);
  t.true(Math.abs(meter.rtt! - (0.836 * 10 + 0.164 * 110)) < 0.01, `${meter.rtt}`);
  sample(meter, 1_008_000, 110);
  t.true(Math.abs(meter.rtt! - (0.836 * 26.4 + 0.164 * 110)) < 0.01, `${meter.rtt}`);
});

test('what was measured counts for three minutes, and then neither for the cost nor for the average', (t) => {
  const meter = new DelayMeter();
  sample(meter, 1_000_000, 200);
  t.is(meter.penalty(1_000_000 + 3 * minute), 150);
  t.is(meter.penalty(1_000_001 + 3 * minute), 0);
  sample(meter, 1_000_001 + 3 * minute, 20);
  t.is(meter.rtt, 20);
});

/** A node on a LAN, whose address there is `own`, and a neighbour in our hand. */
function meeting(seed: number, type: 'tunnel' | 'wired' = 'tunnel') {
  const world = new Network(seed);
  const node = world.node(1);
  const lan = world.lan();
  world.attach(1, lan, { type });
  world.run(200);
  return { world, node, lan, own: world.heardOn(lan)[0]!.from, hand: new Hand(world, lan, 'fe80::9') };
}

test('on an interface of type tunnel the delay is part of the cost, on a wired one it is not', (t) => {
  for (const [type, cost] of [
    ['tunnel', 96 + 75],
    ['wired', 96],
  ] as const) {
    const { world, node, own, hand } = meeting(91, type);
    hand.say((writer) => {
      writer.hello(1, 400, 5000);
      writer.ihu(own, 96, 1200, [stampOf(world.now - 65), 5000]);
    });
    const [row] = node.speaker.neighbours();
    t.is(row!.rtt, 65);
    t.is(row!.cost, cost, type);
  }
});

test('an IHU’s stamps are a sample only beside a stamped Hello', (t) => {
  const { world, node, own, hand } = meeting(92);
  const stamps = (): [number, number] => [stampOf(world.now - 65), 5000];
  hand.say((writer) => writer.hello(1, 400, 5000));
  hand.say((writer) => writer.ihu(own, 96, 1200, stamps()));
  hand.say((writer) => {
    writer.hello(2, 400);
    writer.ihu(own, 96, 1200, stamps());
  });
  t.is(node.speaker.neighbours()[0]!.rtt, undefined);
  t.is(node.speaker.neighbours()[0]!.cost, 96);
  hand.say((writer) => {
    writer.hello(3, 400, 5000);
    writer.ihu(own, 96, 1200, stamps());
  });
  t.is(node.speaker.neighbours()[0]!.rtt, 65);
});

test('an IHU before the stamped Hello of its packet is a sample as well, and waits for no Hello of the next', (t) => {
  const { world, node, own, hand } = meeting(94);
  const stamps = (): [number, number] => [stampOf(world.now - 65), 5000];
  hand.say((writer) => writer.ihu(own, 96, 1200, stamps()));
  hand.say((writer) => writer.hello(1, 400, 5000));
  t.is(node.speaker.neighbours()[0]!.rtt, undefined);
  hand.say((writer) => {
    writer.ihu(own, 96, 1200, stamps());
    writer.hello(2, 400, 5000);
  });
  const [row] = node.speaker.neighbours();
  t.is(row!.rtt, 65);
  t.is(row!.cost, 96 + 75);
});

test('every Hello on a LAN is stamped, and every IHU to who stamps its own, with what that said last', (t) => {
  const { world, lan, own, hand } = meeting(93);
  hand.say((writer) => {
    writer.hello(1, 400, 5000);
    writer.ihu(own, 96, 1200);
  });
  const heardAt = world.now;
  world.run(15_000);
  const lines = saidSince(world, lan, heardAt);
  const hellos = lines.filter(({ line }) => line.startsWith('hello'));
  t.true(hellos.length >= 5);
  for (const { at, line } of hellos) t.is(line.split(' stamp ')[1], String(stampOf(at)), line);
  const ihus = lines.filter(({ line }) => line.startsWith('ihu'));
  t.true(ihus.length >= 3);
  for (const { line } of ihus) t.is(line.split(' stamp ')[1], `5000 ${stampOf(heardAt)}`, line);
});
