import test from 'ava';
import { nodePrefix } from '../../src/addr/node-number.js';
import { parsePrefix } from '../../src/addr/prefix.js';
import { defaultTuning } from '../../src/routing/tuning.js';
import { none, own } from '../sim/next-hops.js';
import { compareAtRest } from '../sim/rest.js';
import { defended } from '../sim/shortest.js';
import { Network, overlay } from './network.js';

/** A mesh of `count` nodes: a ring, and as many chords by chance. */
function mesh(seed: number, count: number, options = {}): Network {
  const world = new Network(seed);
  for (let i = 1; i <= count; i++) world.node(i);
  const linked = new Set<string>();
  const link = (a: number, b: number) => {
    const key = `${Math.min(a, b)} ${Math.max(a, b)}`;
    if (a === b || linked.has(key)) return;
    linked.add(key);
    world.link(a, b, { delay: 1 + world.random.below(40), ...options });
  };
  for (let i = 1; i <= count; i++) link(i, (i % count) + 1);
  for (let i = 0; i < count; i++) link(1 + world.random.below(count), 1 + world.random.below(count));
  return world;
}

test('two machines joined by a tunnel know each other within a few round trips', (t) => {
  const world = new Network(1);
  world.node(1);
  world.node(2);
  world.link(1, 2, { delay: 20 });
  const took = world.until(() => world.allReach(), 1000);
  t.truthy(took);
  t.true(took! < 250, `${took} ms`);
});

test('a line of five: everybody reaches everybody, by the line', (t) => {
  const world = new Network(2);
  for (let i = 1; i <= 5; i++) world.node(i);
  for (let i = 1; i < 5; i++) world.link(i, i + 1);
  t.truthy(world.until(() => world.allReach(), 2000));
  t.deepEqual(world.path(1, 5), [1, 2, 3, 4, 5]);
});

test('no next-hop graph ever holds a loop: changes, cuts, restarts, loss, duplicates and packets late by minutes', (t) => {
  // One seed; the storms of test/sim/scenarios.ts have more, and the other invariants.
  const world = mesh(1, 10, {
    loss: 0.1,
    jitter: 30,
    duplication: 0.1,
    late: { by: 120_000, share: 0.01 },
  });
  world.watch = () => {
    const loop = world.loop();
    if (loop) t.fail(`at ${world.now}: ${loop}`);
  };
  world.run(5000);
  for (let round = 0; round < 8; round++) {
    const a = 1 + world.random.below(10);
    const b = (a % 10) + 1;
    const what = world.random.below(3);
    if (what === 0) world.change(a, b, { delay: 1 + world.random.below(300), loss: 0.2, jitter: 50 });
    else if (what === 1) {
      world.cut(a, b);
      world.at(4000 + world.random.below(4000), () => world.heal(a, b));
    } else {
      if (world.random.unit() < 0.5) world.nodes.get(a)!.stored = undefined;
      world.restart(a, { freshEpoch: 200 + round });
    }
    world.run(4000);
  }
  world.watch = undefined;
  for (let i = 1; i <= 10; i++) world.change(i, (i % 10) + 1, { delay: 5 });
  t.not(
    world.until(() => world.allReach(), 60_000),
    undefined,
  );
});

test('at rest ways cost what they are said to, and no more than the shortest but for the margin of hysteresis', (t) => {
  for (const seed of [4, 5, 6]) {
    const count = 12;
    const world = mesh(seed, count);
    world.run(120_000);
    const nodes = Array.from({ length: count }, (_, i) => world.nodes.get(i + 1)!);
    const edges = nodes.map(({ speaker }) => speaker.neighbours().map(({ node, cost }) => ({ to: node! - 1, cost })));
    const targets = nodes.map((_, i) => i);
    const viaOf = (node: number, target: number) => {
      if (node === target) return own;
      const next = nodes[node]!.next(target + 1);
      return typeof next === 'number' ? next - 1 : none;
    };
    const metricOf = (node: number, target: number) =>
      nodes[node]!.speaker.view(world.now, nodePrefix(overlay, target + 1)).find((row) => row.selected)?.metric;
    const rest = compareAtRest(edges, targets, viaOf, { mostKept: defended(defaultTuning), metricOf });
    t.is(rest.pairs, count * (count - 1));
    const { starved, ghosts, loops, beyond, untrue } = rest;
    t.deepEqual({ starved, ghosts, loops, beyond, untrue }, { starved: 0, ghosts: 0, loops: 0, beyond: 0, untrue: 0 });
    t.true(rest.meanHops > 1.2, 'most pairs have no tunnel of their own');
  }
});

test('a withdrawn prefix is retracted everywhere at once, held while neighbours are told, then gone', (t) => {
  const world = new Network(5);
  for (let i = 1; i <= 4; i++) world.node(i);
  for (let i = 1; i < 4; i++) world.link(i, i + 1);
  world.run(3000);
  const before = world.nodes.get(3)!.changes.length;
  world.send(1, { kind: 'withdraw', prefix: nodePrefix(overlay, 1) });
  world.run(1000);
  for (const number of [2, 3, 4]) t.is(world.nodes.get(number)!.next(1), undefined);
  const told = world.nodes
    .get(3)!
    .changes.slice(before)
    .map(({ change }) => [change.choices.length, change.held]);
  t.deepEqual(told, [
    [0, true],
    [0, false],
  ]);
});

test('nothing counts to infinity: a node that is cut off is gone after one wave of retractions', (t) => {
  const world = new Network(6);
  for (let i = 1; i <= 5; i++) world.node(i);
  for (const [a, b] of [
    [1, 2],
    [2, 3],
    [3, 4],
    [4, 2],
    [4, 5],
    [5, 3],
  ] as const) {
    world.link(a, b);
  }
  world.run(5000);
  world.kill(1, 100);
  const gone = () => [2, 3, 4, 5].every((number) => world.nodes.get(number)!.next(1) === undefined);
  const took = world.until(gone, 5000);
  t.truthy(took);
  t.true(took! < 1000, `${took} ms`);
  const packets = [...world.nodes.values()].reduce((sum, node) => sum + node.packetsSent, 0);
  world.run(10_000);
  const later = [...world.nodes.values()].reduce((sum, node) => sum + node.packetsSent, 0);
  t.true(later - packets < 60, `${later - packets} packets after that`);
});

test('starvation ends by a seqno request that travels through others to the origin', (t) => {
  // 1 is near 2; 3 knows 1 by 2 only until that way is lost, and the way by 4 and 5 is unfeasible for it.
  const world = new Network(7);
  for (let i = 1; i <= 5; i++) world.node(i);
  world.link(1, 2, { delay: 1 });
  world.link(2, 3, { delay: 1 });
  world.link(1, 5, { delay: 100 });
  world.link(5, 4, { delay: 100 });
  world.link(4, 3, { delay: 1 });
  world.run(10_000);
  t.deepEqual(world.path(4, 1), [4, 3, 2, 1]);
  const seqno = () =>
    world.nodes
      .get(1)!
      .speaker.view(world.now)
      .find((row) => row.interface === undefined)!.seqno;
  const before = seqno();
  world.cut(2, 3, 100);
  world.run(101);
  t.is(world.path(3, 1), undefined);
  const took = world.until(() => world.path(3, 1) !== undefined, 10_000);
  t.truthy(took);
  t.true(took! < 2500, `${took} ms`);
  t.deepEqual(world.path(3, 1), [3, 4, 5, 1]);
  t.true(seqno() - before <= 2, 'one request, one increment');
});

test('a restart with its stored seqno is believed at once', (t) => {
  const world = new Network(8);
  for (let i = 1; i <= 3; i++) world.node(i);
  world.link(1, 2);
  world.link(2, 3);
  world.run(5000);
  const epoch = world.nodes.get(1)!.stored!.epoch;
  world.restart(1);
  t.truthy(world.until(() => world.path(3, 1) !== undefined && world.path(1, 3) !== undefined, 1000));
  t.is(world.nodes.get(1)!.stored!.epoch, epoch);
});

test('state wiped, keys kept: routes are accepted by all within a second of being announced', (t) => {
  const world = new Network(9);
  for (let i = 1; i <= 4; i++) world.node(i, { freshEpoch: 5000 });
  for (let i = 1; i < 4; i++) world.link(i, i + 1);
  world.run(5000);
  // The wall clock is of no help: the new epoch would be lower than the old one.
  world.nodes.get(1)!.stored = undefined;
  world.restart(1, { freshEpoch: 7 });
  const took = world.until(() => world.path(4, 1) !== undefined && world.path(1, 4) !== undefined, 1000);
  t.truthy(took);
  t.true(world.nodes.get(1)!.stored!.epoch > 5000);
});

test('an old disk: a seqno behind what the network has seen is overtaken', (t) => {
  const world = new Network(10);
  for (let i = 1; i <= 3; i++) world.node(i);
  world.link(1, 2);
  world.link(2, 3);
  world.nodes.get(1)!.stored = { epoch: 100, seqno: 900 };
  world.restart(1);
  world.run(5000);
  world.restart(1, { stored: { epoch: 100, seqno: 5 } });
  t.truthy(world.until(() => world.path(3, 1) !== undefined, 1500));
});

test('a route lost to one neighbour has others ready', (t) => {
  const world = new Network(11);
  for (let i = 1; i <= 4; i++) world.node(i);
  for (const [a, b, delay] of [
    [1, 2, 15],
    [1, 3, 25],
    [1, 4, 30],
    [2, 4, 20],
    [3, 4, 20],
  ] as const) {
    world.link(a, b, { delay });
  }
  world.run(10_000);
  const route = world.nodes.get(1)!.routes.get(nodePrefix(overlay, 4).key)!;
  t.deepEqual(
    route.choices.map((choice) => choice.neighbourNode),
    [4, 2, 3],
  );
  world.send(1, { kind: 'suspected', interface: world.interfaceOf(1, 4) });
  t.not(world.nodes.get(1)!.next(4), 4);
  t.is(typeof world.nodes.get(1)!.next(4), 'number');
});

test('a neighbour that was suspected is returned to as soon as it is heard, three times in a minute: the way around may lead where it was', (t) => {
  const world = new Network(11);
  for (let i = 1; i <= 3; i++) world.node(i);
  world.link(1, 2, { delay: 15 });
  world.link(2, 3, { delay: 20 });
  world.link(1, 3, { delay: 30 });
  world.run(10_000);
  const here = world.interfaceOf(1, 3);
  const next = () => world.nodes.get(1)!.next(3);
  for (let time = 1; time <= 4; time++) {
    world.send(1, { kind: 'suspected', interface: here });
    t.is(next(), 2);
    world.run(100);
    world.send(1, { kind: 'recovered', interface: here });
    t.is(next(), time < 4 ? 3 : 2, `time ${time}`);
    world.run(4000);
    t.is(next(), 3);
  }
});

test('a tunnel that only one end gave up works again as soon as it is heard again', (t) => {
  const world = new Network(12);
  world.node(1);
  world.node(2);
  world.link(1, 2);
  world.run(5000);
  world.send(1, { kind: 'silent', interface: world.interfaceOf(1, 2) });
  t.is(world.nodes.get(1)!.next(2), undefined);
  world.run(3000);
  world.send(1, { kind: 'recovered', interface: world.interfaceOf(1, 2) });
  const took = world.until(() => world.allReach(), 5000);
  t.truthy(took);
  t.true(took! < 300, `${took} ms`);
});

test('what the plane says of a tunnel: down is every Hello lost, up is none heard', (t) => {
  const world = new Network(14);
  world.node(1);
  world.node(2);
  world.link(1, 2);
  world.run(5000);
  const here = world.interfaceOf(1, 2);
  const neighbour = () => world.nodes.get(1)!.speaker.neighbours()[0]!;
  const isLost = () => {
    const { hellos, rxcost, txcost, cost } = neighbour();
    return hellos === 0 && [rxcost, txcost, cost].every((one) => one === 0xffff);
  };
  t.false(isLost());
  // Nothing of Babel comes from now on, so what the plane says is all there is.
  world.nodes.get(2)!.running = false;
  world.send(1, { kind: 'silent', interface: here });
  t.true(isLost());
  t.is(world.nodes.get(1)!.next(2), undefined);
  world.send(1, { kind: 'recovered', interface: here });
  world.measure(1, 2);
  world.run(60_000);
  t.true(isLost(), 'heard again by the plane');
  world.send(1, { kind: 'tunnelUp', interface: here, neighbour: 2, mtu: 1232 });
  world.measure(1, 2);
  world.run(60_000);
  t.true(isLost(), 'a new session');
  // It speaks: both Hello and IHU are needed.
  world.nodes.get(2)!.running = true;
  world.send(2, { kind: 'tunnelUp', interface: here, neighbour: 1, mtu: 1232 });
  t.truthy(world.until(() => world.allReach(), 60_000));
  t.false(isLost());
});

test('a cost that goes up beyond feasibility keeps the route in use until a newer seqno comes', (t) => {
  const world = new Network(13);
  for (let i = 1; i <= 3; i++) world.node(i);
  world.link(1, 2, { delay: 2 });
  world.link(2, 3, { delay: 2 });
  world.run(5000);
  let lost = false;
  world.watch = () => {
    lost ||= world.nodes.get(3)!.next(1) !== 2;
  };
  world.change(1, 2, { delay: 150 });
  world.run(15_000);
  t.false(lost);
  const row = world.nodes
    .get(3)!
    .speaker.view(world.now)
    .find((r) => r.origin === 1)!;
  t.true(row.metric > 3000, `${row.metric}`);
  t.true(row.feasible);
});

test('a retraction is not held up by thousands of updates before it', (t) => {
  const world = new Network(5);
  const first = world.node(1);
  world.node(2);
  const everything = parsePrefix('10.0.0.0/8')!;
  for (const { authority } of world.nodes.values()) authority.grantsOf.set(1, [everything]);
  world.link(1, 2, { delay: 1 });
  world.run(2000);
  const prefixes = Array.from({ length: 8000 }, (_, i) => parsePrefix(`10.${i >> 8}.${i & 0xff}.0/24`)!);
  for (const prefix of prefixes) world.send(1, { kind: 'originate', prefix, metric: 0 });
  const second = world.nodes.get(2)!;
  t.truthy(world.until(() => second.routes.size > 900, 5000));
  t.true(second.routes.size < 4000, 'most of them are still to be told');
  const [told, untold] = [prefixes[0]!, prefixes[7000]!];
  t.true(second.routes.has(told.key));
  for (const prefix of [told, untold]) world.send(1, { kind: 'withdraw', prefix });
  const took = world.until(
    () => !second.routes.has(told.key) || second.routes.get(told.key)!.choices.length === 0,
    5000,
  );
  t.true(took !== undefined && took <= 200, `retracted after ${took} ms`);
  world.run(20_000);
  t.is(second.routes.size, prefixes.length - 2 + 1, 'and all the others are told');
  t.false(second.routes.has(untold.key));
  t.true(first.running);
});
