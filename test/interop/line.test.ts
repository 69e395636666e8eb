import test, { type ExecutionContext } from 'ava';
import type { Millis } from '../../src/time.js';
import { addressesOf, allow, announcesMany, many, retractsMany, via, waysVia } from './addresses.js';
import { routerHas, routerHasMetric } from './agree.js';
import { Babeld } from './babeld.js';
import { Bird } from './bird.js';
import { clock, hello, inTime, meeting, restartHeard } from './in-time.js';
import { pings } from './ping.js';
import { Weft } from './weft.js';
import { Wire } from './wire.js';
import { World } from './world.js';

/** What a restart leaves of the state of weft. */
const disks = [
  ['kept', 'its epoch and seqno kept'],
  ['lost', 'a fresh epoch'],
] as const;

/** a, m and b in a line. */
async function makeLine(t: ExecutionContext, world: World) {
  const [a, m, b] = [world.host('a'), world.host('m'), world.host('b')];
  world.lan('left', a, m);
  world.lan('right', m, b);
  for (const host of [a, m, b]) world.addresses(host, ...addressesOf(host.number));
  const [left, right] = [await new Wire(world, 'left').ready(), await new Wire(world, 'right').ready()];
  t.teardown(() => {
    if (!t.passed) t.log(left.evidence(), right.evidence());
  });
  return { a, m, b, left, right };
}

test('a line with weft in the middle: 200 prefixes, restarts, a metric past feasibility, silence', async (t) => {
  const world = new World();
  t.teardown(() => world.close());
  const { a, m, b, left, right } = await makeLine(t, world);
  const babeld = await new Babeld(world, a, { devices: ['left'], announce: allow }).ready();
  const bird = await new Bird(world, b, { devices: ['right'] }).ready();
  const weft = await new Weft(world, m, { devices: ['left', 'right'], originate: addressesOf(2) }).ready();
  await Promise.all([
    routerHas(babeld, meeting, via(2, 2, 3)),
    routerHas(bird, meeting, via(2, 1, 2)),
    routerHas(weft, meeting, [...via(1, 1), ...via(3, 3)]),
  ]);
  await pings(a, 'fd00:1::1', 'fd00:3::1');
  await pings(a, '192.0.2.1', '192.0.2.3');

  let since = clock();
  bird.configure({ announce: many });
  let heard = await right.first(b, since, 'the first of 200', announcesMany);
  let settled: Millis[] = await Promise.all([
    routerHas(weft, meeting, waysVia(3, many)),
    routerHas(babeld, meeting, waysVia(2, many)),
  ]);
  inTime(t, 'BIRD announces 200 prefixes', heard, settled);

  since = clock();
  bird.configure({ rxcost: 600 });
  heard = await right.first(b, since, 'a cost', /^ihu fe80::2 rxcost 600/);
  settled = await Promise.all([
    routerHasMetric(weft, meeting, addressesOf(3), 600),
    routerHasMetric(babeld, meeting, addressesOf(3), 600),
    routerHas(babeld, meeting, [...via(2, 2, 3), ...waysVia(2, many)]),
  ]);
  inTime(t, 'BIRD raises its cost', heard, settled);

  since = clock();
  bird.configure({ announce: [] });
  heard = await right.first(b, since, 'the first retraction of 200', retractsMany);
  settled = await Promise.all([
    routerHas(weft, meeting, via(3, 3), many),
    routerHas(babeld, meeting, via(2, 2, 3), many),
  ]);
  inTime(t, 'BIRD withdraws 200 prefixes', heard, settled);

  for (const [disk, name] of disks) {
    await weft.end('SIGKILL');
    since = clock();
    await weft.startAgain(disk);
    const ends = [
      [a, left, 1],
      [b, right, 3],
    ] as const;
    const sent = Math.max(
      ...(await Promise.all(ends.map(([, wire]) => restartHeard(wire.first(m, since, 'Hello', /^hello/))))),
    );
    const theirs = await Promise.all([routerHas(babeld, meeting, via(2, 2)), routerHas(bird, meeting, via(2, 2))]);
    inTime(t, `weft restarts with ${name}, its own prefixes in the tables of the others`, sent, theirs);
    // What weft can be timed from is when each of the others has told what it knows, and that it hears weft: see the
    // restart of an end below.
    const known = ends.map(async ([host, wire, number]) => {
      const asked = await wire.first(m, since, 'a request for the table', /^routeRequest \*/);
      return Math.max(
        await wire.first(host, asked, 'its prefix', new RegExp(`^update fd00:${number}::1`)),
        await wire.first(host, asked, 'that it hears weft', /^ihu fe80::2 rxcost (?!65535)/),
      );
    });
    settled = await Promise.all([
      routerHas(weft, meeting, [...via(1, 1), ...via(3, 3)]),
      routerHas(babeld, meeting, via(2, 2, 3)),
      routerHas(bird, meeting, via(2, 1, 2)),
    ]);
    inTime(
      t,
      `weft restarts with ${name}, the prefixes of the others`,
      Math.max(...(await Promise.all(known))),
      settled,
    );
  }

  // A BIRD in the place of babeld: it announces back what it has from weft, so that the metric can be past what is
  // feasible for it. It must ask, and weft must pass it on. (babeld 1.12.1 goes on by an unfeasible route, and does not
  // ask.)
  await babeld.end('SIGTERM');
  const other = await new Bird(world, a, { devices: ['left'] }).ready();
  since = clock();
  await Promise.all([routerHas(other, meeting, via(2, 2, 3)), routerHas(bird, meeting, via(2, 1, 2))]);
  // Feasible is what is better than anything announced (RFC 8966 §3.5.1): until it has announced the way, all is.
  await left.first(a, since, 'what it has from weft', /^update fd00:3::1/);
  since = clock();
  bird.configure({ rxcost: 1500 });
  heard = await right.first(b, since, 'a cost', /^ihu fe80::2 rxcost 1500/);
  settled = await Promise.all([
    routerHasMetric(weft, meeting, addressesOf(3), 1500),
    routerHasMetric(other, meeting, addressesOf(3), 1500),
  ]);
  inTime(t, 'a metric past feasibility', heard, settled);
  const asked = await left.first(a, heard, 'a request', /^seqnoRequest fd00:3::1/);
  const passed = await right.first(m, asked, 'the request', /^seqnoRequest fd00:3::1/);
  await right.first(b, passed, 'a newer seqno', /^update fd00:3::1/);

  // A lost link is heard of when the first Hello does not come.
  world.silence('right', b);
  since = clock();
  settled = await Promise.all([
    routerHas(weft, meeting, via(1, 1), addressesOf(3)),
    routerHas(other, meeting, via(2, 2), addressesOf(3)),
  ]);
  inTime(t, 'a link is lost', right.lastHello(b, since) + hello, settled);
  t.deepEqual([...babeld.complaints, ...bird.complaints, ...other.complaints], []);
});

for (const middle of ['babeld', 'BIRD'] as const) {
  test(`a line with weft at the ends and ${middle} in the middle`, async (t) => {
    const world = new World();
    t.teardown(() => world.close());
    const { a, m, b, left, right } = await makeLine(t, world);
    // What the near end announces there it has to answer for: only so can a metric be past what is feasible for it.
    world.lan('stub', a);
    const devices = ['left', 'right'];
    const router =
      middle === 'babeld' ? new Babeld(world, m, { devices, announce: allow }) : new Bird(world, m, { devices });
    await router.ready();
    const near = await new Weft(world, a, { devices: ['left', 'stub'], originate: addressesOf(1) }).ready();
    const far = await new Weft(world, b, { devices: ['right'], originate: addressesOf(3) }).ready();
    await Promise.all([
      routerHas(near, meeting, via(2, 2, 3)),
      routerHas(far, meeting, via(2, 1, 2)),
      routerHas(router, meeting, [...via(1, 1), ...via(3, 3)]),
    ]);
    await pings(a, 'fd00:1::1', 'fd00:3::1');
    await pings(a, '192.0.2.1', '192.0.2.3');

    let since = clock();
    await far.originate(many);
    let heard = await right.first(b, since, 'the first of 200', announcesMany);
    let settled: Millis[] = await Promise.all([
      routerHas(router, meeting, waysVia(3, many)),
      routerHas(near, meeting, waysVia(2, many)),
    ]);
    inTime(t, 'weft announces 200 prefixes', heard, settled);

    // Past what the middle has announced, and past what the other end has: both ask, and the far end counts on.
    since = clock();
    await far.originate(addressesOf(3), 400);
    heard = await right.first(b, since, 'a metric', /^update fd00:3::1.* metric 400 /);
    settled = await Promise.all([
      routerHasMetric(router, meeting, addressesOf(3), 400),
      routerHasMetric(near, meeting, addressesOf(3), 400),
      routerHas(near, meeting, via(2, 2, 3)),
    ]);
    await right.first(m, heard, 'a request', /^seqnoRequest fd00:3::1/);
    inTime(t, 'a metric past feasibility, in the middle', heard, settled.slice(0, 1));
    // BIRD tells of a metric with its next full table only.
    heard = await left.first(m, heard, 'the metric', /^update fd00:3::1.* metric [4-9]\d\d /);
    inTime(t, 'a metric past feasibility, at the near end', heard, settled.slice(1));

    since = clock();
    await far.withdraw(many);
    heard = await right.first(b, since, 'the first retraction of 200', retractsMany);
    settled = await Promise.all([
      routerHas(router, meeting, via(3, 3), many),
      routerHas(near, meeting, via(2, 2, 3), many),
    ]);
    inTime(t, 'weft withdraws 200 prefixes', heard, settled);

    for (const [disk, name] of disks) {
      since = clock();
      await far.end('SIGTERM');
      heard = await right.first(b, since, 'goodbye', /^retract \*/);
      settled = await Promise.all([
        routerHas(router, meeting, via(1, 1), addressesOf(3)),
        routerHas(near, meeting, via(2, 2), addressesOf(3)),
      ]);
      inTime(t, 'weft says goodbye', heard, settled);
      since = clock();
      await far.startAgain(disk);
      const sent = await restartHeard(right.first(b, since, 'Hello', /^hello/));
      const [own, ...theirs] = await Promise.all([
        routerHas(far, meeting, via(2, 1, 2)),
        routerHas(near, meeting, via(2, 2, 3)),
        routerHas(router, meeting, via(3, 3)),
      ]);
      inTime(t, `weft restarts with ${name}, the tables of the others`, sent, theirs);
      // babeld leaves a request unanswered for two seconds after a full table, against storms; BIRD tells a neighbour it has
      // not forgotten yet how well it hears it when that is due, every three. What weft can be timed from is the later of
      // the two; that it asked at once is looked at.
      const asked = await right.first(b, sent, 'a request for the table', /^routeRequest \*/);
      const known = await Promise.all([
        right.first(m, asked, 'its table', /^update fd00:1::1/),
        right.first(m, asked, 'that it hears weft', /^ihu fe80::3 rxcost (?!65535)/),
      ]);
      inTime(t, `weft restarts with ${name}, its own`, Math.max(...known), [own]);
      t.true(asked - sent < hello, `it asks for the table after ${Math.round(asked - sent)} ms`);
    }

    // babeld keeps its seqno, which it writes down as it says goodbye; BIRD has a fresh router-id.
    await router.end(router instanceof Babeld ? 'SIGTERM' : 'SIGKILL');
    since = clock();
    await (router instanceof Babeld ? router.startAgain('kept') : router.startAgain());
    const back = Math.max(
      ...(await Promise.all([left, right].map((wire) => restartHeard(wire.first(m, since, 'Hello', /^hello/))))),
    );
    settled = await Promise.all([
      routerHas(near, meeting, via(2, 2)),
      routerHas(far, meeting, via(2, 2)),
      routerHas(router, meeting, [...via(1, 1), ...via(3, 3)]),
    ]);
    inTime(t, `${middle} in the middle restarts`, back, settled);
    // Each end has the other from when the middle tells of it.
    const passedOn = await Promise.all([
      left.first(m, since, 'the far end', /^update fd00:3::1/),
      right.first(m, since, 'the near end', /^update fd00:1::1/),
    ]);
    settled = await Promise.all([routerHas(near, meeting, via(2, 3)), routerHas(far, meeting, via(2, 1))]);
    inTime(t, `${middle} in the middle restarts, the ends have each other`, Math.max(...passedOn), settled);

    // The far end finds out for itself; the near end is told by the middle, which gives a neighbour up by rules of its
    // own (babeld after two of three Hellos and a while, BIRD when five of sixteen are missing).
    world.silence('right', b);
    since = clock();
    const told = left.first(m, since, 'that the link is lost', /^retract fd00:3::1/);
    const [farLost, , nearLost] = await Promise.all([
      routerHas(far, meeting, addressesOf(3), [...addressesOf(1), ...addressesOf(2)]),
      routerHas(router, meeting, via(1, 1), addressesOf(3)),
      routerHas(near, meeting, via(2, 2), addressesOf(3)),
    ]);
    inTime(t, 'a link is lost, the far end', right.lastHello(m, since) + hello, [farLost]);
    inTime(t, 'a link is lost, the near end', await told, [nearLost]);
    t.deepEqual(router.complaints, []);
  });
}
