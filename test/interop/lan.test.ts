import { setTimeout as pause } from 'node:timers/promises';
import test, { type ExecutionContext } from 'ava';
import { monotonicMicros } from '../../daemon/lan/sockets.js';
import type { Millis } from '../../src/time.js';
import { type Readable, routerHas } from './agree.js';
import { Babeld } from './babeld.js';
import { Bird } from './bird.js';
import { kernelRoutes } from './kernel.js';
import { routeProtocol } from './kernel-routes.js';
import { Missing, until } from './until.js';
import { Weft } from './weft.js';
import { type Host, onHost, World } from './world.js';

/** Test peers and weft speak every second: two Hello intervals. */
const hello = 1000;
const twoHellos = 2 * hello;
/** Tables are read every 40 ms, and a reading of all three takes up to 100 ms on a busy machine. */
const reading = 150;
/** Until routers that have just started know each other and have exchanged everything. */
const meeting = 15_000;

function makeWorld(t: ExecutionContext): World {
  const world = new World();
  t.teardown(() => world.close());
  return world;
}

const allow = ['redistribute local ip fd00::/16 allow', 'redistribute local ip 192.0.2.0/24 allow'];

/** The addresses of host n's loopback: fd00:n::1 and 192.0.2.n. */
function addressesOf(n: number): [string, string] {
  return [`fd00:${n}::1/128`, `192.0.2.${n}/32`];
}

function via(hop: number, ...origins: readonly number[]): string[] {
  return origins.flatMap((n) => addressesOf(n).map((prefix) => `${prefix} via ${hop}`));
}

const clock = (): Millis => monotonicMicros() / 1000;

/**
 * When a restart was heard, a moment after it: by then the retraction with which a router begins has come, and no table shows
 * the run before any more.
 */
async function restartHeard(heard: Promise<Millis>): Promise<Millis> {
  const at = await heard;
  await pause(at + 100 - clock());
  return at;
}

/** Every one of them settled within two Hello intervals of the moment the change was heard. */
function inTime(t: ExecutionContext, what: string, heard: Millis, settled: readonly Millis[]): void {
  const took = Math.round(Math.max(...settled) - heard);
  t.log(`${what}: ${took} ms after it was heard`);
  t.true(took <= twoHellos + reading, `${what}: ${settled.map((at) => Math.round(at - heard))} ms`);
}

function weftRoutes(host: Host): string[] {
  return kernelRoutes(host)
    .filter((route) => route.protocol === String(routeProtocol))
    .map((route) => route.prefix);
}

test('one LAN: weft, babeld and BIRD agree; withdrawals, restarts, kill -9', async (t) => {
  const world = makeWorld(t);
  const [a, b, c] = [world.host('a'), world.host('b'), world.host('c')];
  world.lan('lan0', a, b, c);
  for (const host of [a, b, c]) world.addresses(host, ...addressesOf(host.number));
  const babeld = await new Babeld(world, a, { devices: ['lan0'], announce: allow }).ready();
  const bird = await new Bird(world, b, { devices: ['lan0'] }).ready();
  const weft = await new Weft(world, c, { devices: ['lan0'], originate: addressesOf(3) }).ready();
  await Promise.all([
    routerHas(weft, meeting, [...via(1, 1), ...via(2, 2)]),
    routerHas(babeld, meeting, [...via(2, 2), ...via(3, 3)]),
    routerHas(bird, meeting, [...via(1, 1), ...via(3, 3)]),
  ]);
  t.deepEqual(weftRoutes(c).sort(), [...addressesOf(1), ...addressesOf(2)].sort());
  await pings(c, 'fd00:3::1', 'fd00:1::1');
  await pings(c, '192.0.2.3', '192.0.2.2');

  await weft.withdraw(addressesOf(3)[0]);
  await Promise.all([
    routerHas(babeld, twoHellos, [], [addressesOf(3)[0]]),
    routerHas(bird, twoHellos, [], [addressesOf(3)[0]]),
  ]);
  await weft.originate(addressesOf(3)[0]);
  await Promise.all([routerHas(babeld, twoHellos, via(3, 3)), routerHas(bird, twoHellos, via(3, 3))]);

  await babeld.end('SIGTERM'); // says goodbye with a wildcard retraction
  await Promise.all([
    routerHas(weft, twoHellos, via(2, 2), via(1, 1)),
    routerHas(bird, twoHellos, via(3, 3), via(1, 1)),
  ]);
  let since = clock();
  await babeld.startAgain('kept');
  let heard = await restartHeard(weft.firstHeard(a, since));
  let settled: Millis[] = await Promise.all([
    routerHas(weft, meeting, via(1, 1)),
    routerHas(babeld, meeting, via(3, 3)),
  ]);
  inTime(t, 'babeld restarts', heard, settled);

  await bird.end('SIGKILL');
  since = clock();
  await bird.startAgain(); // a fresh router-id
  heard = await restartHeard(weft.firstHeard(b, since));
  settled = await Promise.all([routerHas(weft, meeting, via(2, 2)), routerHas(bird, meeting, via(3, 3))]);
  inTime(t, 'BIRD restarts', heard, settled);
  await routerHas(bird, meeting, via(1, 1)); // between the two of them, weft has no part in it

  await weft.end('SIGKILL');
  t.true(weftRoutes(c).length > 0, 'kill -9 leaves routes behind');
  await weft.startAgain('kept');
  const sent = await restartHeard(weft.firstSent());
  const [own, ...theirs] = await Promise.all([
    routerHas(weft, meeting, [...via(1, 1), ...via(2, 2)]),
    routerHas(babeld, meeting, via(3, 3)),
    routerHas(bird, meeting, via(3, 3)),
  ]);
  // They hear it at once; it hears them with their next Hellos.
  inTime(t, 'weft restarts, their tables', sent, theirs);
  heard = Math.max(await weft.firstHeard(a, sent), await weft.firstHeard(b, sent));
  inTime(t, 'weft restarts, its own table', heard, [own]);
  await weft.end('SIGTERM');
  t.deepEqual(weftRoutes(c), [], 'a proper end leaves none');
  await Promise.all([routerHas(babeld, twoHellos, [], via(3, 3)), routerHas(bird, twoHellos, [], via(3, 3))]);
  t.deepEqual([...babeld.complaints, ...bird.complaints], []);
});

test('a line with weft in the middle: 200 prefixes, a metric past feasibility, silence', async (t) => {
  const world = makeWorld(t);
  const [a, m, b] = [world.host('a'), world.host('m'), world.host('b')];
  world.lan('left', a, m);
  world.lan('right', m, b);
  for (const host of [a, m, b]) world.addresses(host, ...addressesOf(host.number));
  const many = Array.from({ length: 100 }, (_, i) => [`fd00:3:${(i + 1).toString(16)}::/48`, `10.3.${i}.0/24`]).flat();
  const babeld = await new Babeld(world, a, { devices: ['left'], announce: allow }).ready();
  const bird = await new Bird(world, b, { devices: ['right'], announce: many }).ready();
  const weft = await new Weft(world, m, { devices: ['left', 'right'], originate: addressesOf(2) }).ready();
  const manyVia = (hop: number) => many.map((prefix) => `${prefix} via ${hop}`);
  await Promise.all([
    routerHas(babeld, meeting, [...via(2, 2, 3), ...manyVia(2)]),
    routerHas(bird, meeting, via(2, 1, 2)),
    routerHas(weft, meeting, [...via(1, 1), ...via(3, 3), ...manyVia(3)]),
  ]);
  await pings(a, 'fd00:1::1', 'fd00:3::1');
  await pings(a, '192.0.2.1', '192.0.2.3');

  // The way to BIRD becomes dearer than all babeld ever announced of it: babeld must ask, and weft must pass it on. weft hears
  // of it with BIRD's next IHU.
  const dearer = addressesOf(3).map((prefix) => [prefix, 400] as const);
  bird.configure({ rxcost: 600 });
  let heard = await routerHasMetric(weft, 2 * twoHellos + hello, dearer);
  let settled: Millis[] = [
    await routerHasMetric(babeld, twoHellos + reading, dearer),
    await routerHas(babeld, twoHellos, [...via(2, 2, 3), ...manyVia(2)]),
  ];
  inTime(t, 'a metric past feasibility', heard, settled);

  bird.configure({ rxcost: 96, announce: [] });
  heard = await routerHas(weft, 2 * twoHellos, via(3, 3), manyVia(3));
  settled = [await routerHas(babeld, twoHellos + reading, via(2, 2, 3), manyVia(2))];
  inTime(t, 'BIRD withdraws 200 prefixes', heard, settled);

  // A lost link is heard of when the first Hello does not come.
  world.silence('right', b);
  settled = await Promise.all([
    routerHas(weft, 8000, via(1, 1), via(3, 3)),
    routerHas(babeld, 8000, via(2, 2), via(2, 3)),
  ]);
  inTime(t, 'a link is lost', (await weft.lastHeard(b)) + hello, settled);
  t.deepEqual([...babeld.complaints, ...bird.complaints], []);
});

/** The kernels forward too; theirs may be a moment behind the tables. */
async function pings(host: Host, from: string, to: string): Promise<void> {
  await until(`${from} pings ${to}`, 5000, () => {
    try {
      return onHost(host, 'ping', '-c', '1', '-W', '1', '-I', from, to).includes(' 0% packet loss');
    } catch {
      return false;
    }
  });
}

/** Waits until the router uses a way to each prefix that costs at least so much; returns when that reading began. */
async function routerHasMetric(
  router: Readable,
  deadlineMs: number,
  atLeast: readonly (readonly [prefix: string, metric: number])[],
): Promise<Millis> {
  return until(`${router.host.name} hears of the metric`, deadlineMs, async () => {
    const readAt = clock();
    const used = (await router.table()).filter((row) => row.selected && row.metric < 0xffff);
    const missing = atLeast.filter(
      ([prefix, metric]) => !used.some((row) => row.prefix === prefix && row.metric >= metric),
    );
    return missing.length === 0 ? readAt : new Missing(JSON.stringify(missing));
  });
}

for (const middle of ['babeld', 'BIRD'] as const) {
  test(`a line with weft at the ends and ${middle} in the middle`, async (t) => {
    const world = makeWorld(t);
    const [a, m, b] = [world.host('a'), world.host('m'), world.host('b')];
    world.lan('left', a, m);
    world.lan('right', m, b);
    for (const host of [a, m, b]) world.addresses(host, ...addressesOf(host.number));
    const devices = ['left', 'right'];
    const router =
      middle === 'babeld' ? new Babeld(world, m, { devices, announce: allow }) : new Bird(world, m, { devices });
    await router.ready();
    const left = await new Weft(world, a, { devices: ['left'], originate: addressesOf(1) }).ready();
    const right = await new Weft(world, b, { devices: ['right'], originate: addressesOf(3) }).ready();
    await Promise.all([
      routerHas(left, meeting, via(2, 2, 3)),
      routerHas(right, meeting, via(2, 1, 2)),
      routerHas(router, meeting, [...via(1, 1), ...via(3, 3)]),
    ]);
    await pings(a, 'fd00:1::1', 'fd00:3::1');
    await pings(a, '192.0.2.1', '192.0.2.3');
    await right.end('SIGTERM');
    await Promise.all([
      routerHas(router, twoHellos, via(1, 1), via(3, 3)),
      routerHas(left, twoHellos + 1000, via(2, 2), via(2, 3)),
    ]);
    await right.startAgain('lost');
    const sent = await restartHeard(right.firstSent());
    const [own, ...theirs] = await Promise.all([
      routerHas(right, meeting, via(2, 1, 2)),
      routerHas(left, meeting, via(2, 2, 3)),
      routerHas(router, meeting, via(3, 3)),
    ]);
    inTime(t, 'weft restarts with a fresh epoch, the tables of the others', sent, theirs);
    inTime(t, 'weft restarts with a fresh epoch, its own', await right.firstHeard(m, sent), [own]);
    t.deepEqual(router.complaints, []);
  });
}
