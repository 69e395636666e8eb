import test from 'ava';
import { nodePrefix } from '../../src/addr/node-number.js';
import { LinkCost } from '../../src/routing/link-cost.js';
import { addMetric, infinity } from '../../src/routing/metric.js';
import { defaultTuning } from '../../src/routing/tuning.js';
import { Network, overlay } from './network.js';
import { switches, Ways } from './ways.js';

test('a sum of metrics is above both, or infinite', (t) => {
  t.is(addMetric(65534, 1), infinity);
  t.is(addMetric(65533, 1), 65534);
  t.is(addMetric(0, 0), 1);
  t.is(addMetric(infinity, 96), infinity);
  t.is(addMetric(100, infinity), infinity);
});

test('twelve of the worst links are still a finite path', (t) => {
  const cost = new LinkCost();
  cost.measured(100_000, 5000, 1, 0);
  let metric = 0;
  for (let i = 0; i < 12; i++) metric = addMetric(metric, cost.cost);
  t.true(metric < infinity);
});

test('a link costs 96 and 10 a millisecond; nonsense costs nothing', (t) => {
  const cost = new LinkCost();
  t.true(cost.measured(20, 0, 0, 0));
  t.is(cost.cost, 296);
  for (const bad of [Number.NaN, -5, Number.POSITIVE_INFINITY]) cost.measured(bad, bad, bad, 1);
  t.true(cost.cost >= 96 && cost.cost <= 296);
});

test('noise moves nothing', (t) => {
  const world = new Ways(31, [40, 44]);
  const count = switches(world);
  const sent = world.nodes.get(1)!.packetsSent;
  for (let i = 0; i < 300; i++) {
    for (const [a, b, delay] of [
      [1, 2, 20],
      [2, 4, 20],
      [1, 3, 22],
      [3, 4, 22],
    ] as const) {
      world.measure(a, b, { rtt: 2 * delay * (0.95 + 0.1 * world.random.unit()), jitter: world.random.unit() });
    }
    world.run(1000);
  }
  t.is(count(), 0);
  t.true(world.nodes.get(1)!.packetsSent - sent < 200, `${world.nodes.get(1)!.packetsSent - sent} packets`);
});

test('a way that was better for less than the dwell leaves nobody to look at it again', (t) => {
  const world = new Ways(35, [40, 44]);
  const { speaker } = world.nodes.get(1)!;
  const untilWaiting = (waiting: number, rtt: number) => {
    for (let i = 0; i < 60 && speaker.sizes().waiting !== waiting; i++) {
      world.measure(1, 3, { rtt });
      world.run(50);
    }
    return speaker.sizes().waiting;
  };
  t.is(untilWaiting(0, 22), 0);
  t.true(untilWaiting(1, 2) > 0, 'it is better, and has to stay so');
  const since = world.now;
  t.is(untilWaiting(0, 100), 0);
  t.true(world.now < since + defaultTuning.dwell, 'before it would have been looked at');
  t.is(world.nodes.get(1)!.next(4), 2);
});

test('a path that becomes 100 ms worse is left within 10 s', (t) => {
  const world = new Ways(32, [20, 30]);
  t.is(world.nodes.get(1)!.next(4), 2);
  world.change(2, 4, { delay: 60 });
  const took = world.until(() => world.nodes.get(1)!.next(4) === 3, 12_000);
  t.truthy(took);
  t.true(took! < 10_000, `${took} ms`);
});

test('and so it is where the other path is not feasible before it is asked for a newer seqno', (t) => {
  const world = new Ways(35, [20, 100]);
  const other = world.nodes
    .get(1)!
    .speaker.view(world.now)
    .find((row) => row.origin === 4 && !row.selected)!;
  t.false(other.feasible);
  world.change(2, 4, { delay: 150 });
  const took = world.until(() => world.nodes.get(1)!.next(4) === 3, 12_000);
  t.true(took !== undefined && took < 10_000, `${took} ms`);
});

test('a path that was left and is good again is taken back after its five minutes, though nothing changes then', (t) => {
  const world = new Ways(35, [20, 40]);
  world.change(1, 2, { delay: 80 });
  t.truthy(world.until(() => world.nodes.get(1)!.next(4) === 3, 12_000));
  world.change(1, 2, { delay: 10 });
  world.run(100_000);
  t.is(world.nodes.get(1)!.next(4), 3);
  t.truthy(world.until(() => world.nodes.get(1)!.next(4) === 2, 240_000));
});

test('a path that was left is taken back sooner when the one in its place becomes worse by far than it was', (t) => {
  const world = new Ways(35, [20, 40]);
  world.change(1, 2, { delay: 80 });
  t.truthy(world.until(() => world.nodes.get(1)!.next(4) === 3, 12_000));
  world.change(1, 2, { delay: 10 });
  world.change(1, 3, { delay: 90 });
  world.run(20_000);
  t.is(world.nodes.get(1)!.next(4), 3, 'as bad as the other was is no reason: congestion may have followed us');
  world.change(1, 3, { delay: 160 });
  const took = world.until(() => world.nodes.get(1)!.next(4) === 2, 20_000);
  t.true(took !== undefined && took < 10_000, `${took} ms`);
});

test('within half a minute of a switch, a path that becomes 100 ms worse is left within 10 s for one that was left as worse by far', (t) => {
  for (const wait of [0, 2000, 10_000, 20_000, 28_000, 29_000, 30_000]) {
    for (const worse of [100, 150]) {
      const world = new Ways(3, [20, 40]);
      world.change(1, 2, { delay: 300 });
      t.truthy(world.until(() => world.used === 3, 12_000));
      world.change(1, 2, { delay: 10 });
      world.run(wait);
      t.is(world.used, 3, 'not for being the longer way');
      world.change(1, 3, { delay: 20 + worse / 2 });
      const took = world.until(() => world.used === 2, 20_000);
      t.true(took !== undefined && took < 10_000, `${worse} ms worse after ${wait} ms: ${took} ms`);
    }
  }
});

test('and is kept for one that was left as about as bad: that is what congestion that followed us looks like', (t) => {
  const world = new Ways(3, [20, 40]);
  world.change(1, 2, { delay: 80 });
  t.truthy(world.until(() => world.used === 3, 12_000));
  world.change(1, 2, { delay: 10 });
  world.run(10_000);
  world.change(1, 3, { delay: 70 });
  t.is(
    world.until(() => world.used === 2, 250_000),
    undefined,
  );
});

test('two unequal paths, congested by our own traffic, change at most three times in five minutes', (t) => {
  for (const queues of [
    [300, 80],
    [80, 300],
    [1000, 200],
    [400, 60],
  ] as const) {
    for (let seed = 1; seed <= 3; seed++) {
      const world = new Ways(seed, [20, 20]);
      const count = switches(world);
      for (let i = 0; i < 300; i++) {
        const { used } = world;
        world.measure(1, used, { rtt: 20 + queues[used - 2]! * (0.9 + 0.1 * world.random.unit()), jitter: 5 });
        world.measure(1, used === 2 ? 3 : 2, { rtt: 20 + world.random.unit(), jitter: 1 });
        world.run(1000);
      }
      t.true(count() <= 3, `${queues} ms: ${count()}`);
    }
  }
});

for (const worse of [100, 500]) {
  test(`half a minute after a switch, a path that becomes ${worse} ms worse is left within 10 s for the one left before`, (t) => {
    for (let seed = 1; seed <= 10; seed++) {
      const world = new Ways(seed, [20, 40]);
      const next = () => world.nodes.get(1)!.next(4);
      world.change(1, 2, { delay: 300 });
      t.truthy(world.until(() => next() === 3, 12_000));
      world.change(1, 2, { delay: 10 });
      world.run(31_000);
      t.is(next(), 3, 'not for being the longer way');
      world.change(1, 3, { delay: 20 + worse / 2 });
      const took = world.until(() => next() === 2, 20_000);
      t.true(took !== undefined && took < 10_000, `seed ${seed}: ${took} ms`);
    }
  });
}

test('and so it is when it was worse for a moment before: a burst does not excuse what lasts', (t) => {
  for (const worse of [100, 400]) {
    const world = new Ways(41, [10, 20]);
    world.change(1, 2, { delay: 75 });
    t.truthy(world.until(() => world.used === 3, 12_000));
    world.change(1, 2, { delay: 5 });
    world.run(35_000);
    world.change(1, 3, { delay: 310 });
    world.run(3000);
    world.change(1, 3, { delay: 10 });
    world.run(10_000);
    t.is(world.used, 3);
    world.change(1, 3, { delay: 10 + worse / 2 });
    const took = world.until(() => world.used === 2, 20_000);
    t.true(took !== undefined && took < 10_000, `${worse} ms worse: ${took} ms`);
  }
});

test('a way that is worse by far when it is taken is left though it becomes a little better, for the one left before', (t) => {
  const world = new Ways(41, [10, 15, 5]);
  world.change(1, 4, { delay: 50 });
  world.run(20_000);
  t.is(world.used, 2);
  const interfaces = [2, 3].map((via) => world.interfaceOf(1, via)) as [number, number];
  world.change(1, 2, { delay: 22 });
  t.truthy(world.until(() => world.used === 3, 12_000));
  world.change(1, 2, { delay: 5 });
  world.run(60_000);
  t.is(world.used, 3);
  world.send(1, { kind: 'suspected', interface: interfaces[0] });
  world.send(1, { kind: 'interfaceDown', interface: interfaces[1] });
  world.run(1000);
  t.is(world.used, 4);
  world.send(1, { kind: 'recovered', interface: interfaces[0] });
  world.run(1000);
  world.change(1, 4, { delay: 45 });
  const took = world.until(() => world.used === 2, 20_000);
  t.true(took !== undefined && took < 10_000, `${took} ms`);
});

test('a neighbour under suspicion is not taken for its metric while the one in use is not suspected', (t) => {
  const world = new Ways(41, [10, 10, 10]);
  for (const [via, delay] of [
    [4, 53],
    [3, 52],
    [2, 55],
  ] as const)
    world.change(1, via, { delay });
  world.run(20_000);
  t.is(world.used, 2, 'not the best, but by less than the margin');
  world.send(1, { kind: 'suspected', interface: world.interfaceOf(1, 4) });
  world.change(1, 4, { delay: 5 });
  const took = world.until(() => world.used !== 2, 20_000);
  t.is(took, undefined);
});

/**
 * Two equal ways for five minutes. Our traffic, of every `every` seconds as many as `burst` says for each time, makes
 * whichever it takes worse by `queue` ms.
 */
function changesUnderBursts(world: Ways, queue: number, every: number, burst: (turn: number) => number): number {
  const count = switches(world);
  let length = 0;
  for (let second = 0; second < 300; second++) {
    if (second % every === 0) length = burst(second / every);
    const used = world.nodes.get(1)!.next(4) as number;
    const waits = second % every < length ? queue * (0.9 + 0.1 * world.random.unit()) : 0;
    world.measure(1, used, { rtt: 20 + waits, jitter: waits / 10 });
    world.measure(1, used === 2 ? 3 : 2, { rtt: 20 + world.random.unit(), jitter: 1 });
    world.run(1000);
  }
  return count();
}

/** Seconds of each burst: by turns, or drawn between both. */
for (const [lengths, isChance, most] of [
  [[1], false, 1],
  [[2], false, 1],
  [[4], false, 1],
  [[8], false, 1],
  [[20], false, 1],
  [[1, 4], false, 1],
  [[1, 7], false, 1],
  [[2, 6], false, 1],
  [[4, 8], false, 1],
  [[1, 7], true, 1],
  // Longer than what can be told from a way that becomes worse by itself, after one that shows nothing.
  [[1, 10], false, 2],
  [[1, 10], true, 2],
] as const) {
  const name = isChance ? `of ${lengths.join(' to ')} s by chance` : `of ${lengths.join(' and ')} s by turns`;
  test(`two equal paths under bursts ${name} of our own traffic change at most ${most} times in five minutes`, (t) => {
    for (const queue of [90, 300, 1000]) {
      for (const every of [12, 40]) {
        if (every < Math.max(...lengths)) continue;
        const changes = [1, 2, 3].map((seed) => {
          const world = new Ways(seed, [20, 20]);
          const [least, longest] = [lengths[0], lengths.at(-1)!];
          const drawn = () => least + Math.floor((longest - least + 1) * world.random.unit());
          return changesUnderBursts(world, queue, every, (turn) =>
            isChance ? drawn() : lengths[turn % lengths.length]!,
          );
        });
        t.true(
          changes.every((count) => count >= 1 && count <= most),
          `${queue} ms each ${every} s: ${changes}`,
        );
      }
    }
  });
}

test('a way that is not feasible for a moment is taken again as soon as it is, not after the dwell', (t) => {
  const world = new Network(36);
  for (let i = 1; i <= 4; i++) world.node(i);
  world.link(1, 2, { delay: 10 });
  world.link(2, 4, { delay: 10 });
  world.link(1, 3, { delay: 60 });
  world.link(3, 4, { delay: 2 });
  world.run(20_000);
  const next = () => world.nodes.get(1)!.next(4);
  t.is(next(), 2);
  // 2's metric rises past what 1 has announced, and the way by 2 is still the better one.
  world.change(2, 4, { delay: 40 });
  t.truthy(world.until(() => next() === 3, 12_000));
  const back = world.until(() => next() === 2, 12_000);
  t.true(back !== undefined && back < 1000, `${back} ms`);
});

test('a path that was left is taken back at once when it leads another way: what was wrong with it was of the one before', (t) => {
  const world = new Ways(35, [20, 40]);
  world.change(1, 2, { delay: 80 });
  t.truthy(world.until(() => world.nodes.get(1)!.next(4) === 3, 12_000));
  world.send(1, { kind: 'moved', interface: world.interfaceOf(1, 2) });
  t.is(world.nodes.get(1)!.next(4), 3, 'nothing is known of the new one');
  world.change(1, 2, { delay: 10 });
  t.is(world.nodes.get(1)!.next(4), 2);
});

test('two equal paths, congested by our own traffic, do not flap: at most one switch in five minutes', (t) => {
  const world = new Ways(33, [20, 20]);
  const count = switches(world);
  let first = 0;
  for (let i = 0; i < 600; i++) {
    const used = world.nodes.get(1)!.next(4) as number;
    const idle = used === 2 ? 3 : 2;
    world.measure(1, used, { rtt: 20 + 80 + 10 * world.random.unit(), jitter: 10 });
    world.measure(1, idle, { rtt: 20 + world.random.unit(), jitter: 1 });
    world.run(1000);
    if (i === 299) first = count();
  }
  t.true(first <= 1, `${first} in the first five minutes`);
  t.true(count() - first <= 1, `${count()} in ten minutes`);
});

test('the Paris-Tokyo triangle never takes a detour that is not worth it', (t) => {
  const world = new Network(34);
  const [paris, nearby, tokyo] = [1, 2, 3];
  for (let i = 1; i <= 3; i++) world.node(i);
  world.link(paris, nearby, { delay: 1 });
  world.link(paris, tokyo, { delay: 120 });
  world.link(nearby, tokyo, { delay: 119 });
  world.run(20_000);
  let detours = 0;
  for (let i = 0; i < 300; i++) {
    world.measure(paris, tokyo, { rtt: 240 * (0.95 + 0.1 * world.random.unit()), jitter: 5 * world.random.unit() });
    world.measure(nearby, tokyo, { rtt: 238 * (0.95 + 0.1 * world.random.unit()), jitter: 5 * world.random.unit() });
    world.run(1000);
    if (world.nodes.get(paris)!.next(tokyo) !== tokyo) detours++;
  }
  t.is(detours, 0);
});

test('a way round that beats the direct tunnel by delay is taken, and the view shows by how much', (t) => {
  const world = new Network(35);
  for (let i = 1; i <= 3; i++) world.node(i);
  world.link(1, 2, { delay: 100 });
  world.link(1, 3, { delay: 10 });
  world.link(3, 2, { delay: 10 });
  world.run(20_000);
  t.is(world.nodes.get(1)!.next(2), 3);
  const rows = world.nodes
    .get(1)!
    .speaker.view(world.now)
    .filter((row) => row.prefix.key === nodePrefix(overlay, 2).key);
  const selected = rows.find((row) => row.selected)!;
  const direct = rows.find((row) => !row.selected)!;
  t.is(direct.standing, 'worse');
  t.is(selected.metric, 2 * 296);
  t.is(direct.metric, 96 + 2000);
});
