import test, { type ExecutionContext } from 'ava';
import { routerHas } from './agree.js';
import { Babeld } from './babeld.js';
import { Bird } from './bird.js';
import { kernelRoutes } from './kernel.js';
import { routeProtocol } from './kernel-routes.js';
import { Missing, until } from './until.js';
import { Weft } from './weft.js';
import { type Host, onHost, World } from './world.js';

/** Test peers speak every second: two of their Hello intervals. */
const twoHellos = 2000;
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
  await babeld.startAgain('kept');
  await routerHas(weft, meeting, via(1, 1));
  await routerHas(babeld, meeting, via(3, 3));

  await bird.end('SIGKILL');
  await bird.startAgain(); // a fresh router-id
  await routerHas(weft, meeting, via(2, 2));
  await routerHas(bird, meeting, [...via(1, 1), ...via(3, 3)]);

  await weft.end('SIGKILL');
  t.true(weftRoutes(c).length > 0, 'kill -9 leaves routes behind');
  await weft.startAgain('kept');
  await Promise.all([
    routerHas(weft, meeting, [...via(1, 1), ...via(2, 2)]),
    routerHas(babeld, meeting, via(3, 3)),
    routerHas(bird, meeting, via(3, 3)),
  ]);
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

  // The way to BIRD becomes dearer than all babeld ever announced of it: babeld must ask, and weft must pass it on.
  const metricOf = async () => (await babeld.table()).find((row) => row.prefix === addressesOf(3)[0])?.metric;
  const before = await metricOf();
  bird.configure({ rxcost: 600 });
  await routerHasMetric(babeld, addressesOf(3)[0], (before ?? 0) + 400, 2 * twoHellos + 2000);
  await routerHas(babeld, twoHellos, [...via(2, 2, 3), ...manyVia(2)]);
  bird.configure({ rxcost: 96, announce: [] });
  await routerHas(babeld, 2 * twoHellos, via(2, 2, 3), manyVia(2));

  world.silence('right', b);
  await routerHas(weft, 8000, via(1, 1), via(3, 3));
  await routerHas(babeld, twoHellos, via(2, 2), via(2, 3));
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

async function routerHasMetric(router: Babeld, prefix: string, atLeast: number, deadlineMs: number): Promise<void> {
  await until(`${router.host.name} hears of the metric of ${prefix}`, deadlineMs, async () => {
    const row = (await router.table()).find((held) => held.prefix === prefix && held.selected && held.metric < 0xffff);
    return (row !== undefined && row.metric >= atLeast) || new Missing(`metric ${row?.metric}, wanted ${atLeast}`);
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
    await Promise.all([routerHas(left, meeting, via(2, 2, 3)), routerHas(router, meeting, via(3, 3))]);
    t.deepEqual(router.complaints, []);
  });
}
