import { isDeepStrictEqual } from 'node:util';
import test, { type ExecutionContext } from 'ava';
import type { Millis } from '../../src/time.js';
import { addressesOf, allow, announcesMany, many, retractsMany, via, waysVia } from './addresses.js';
import { type Readable, routerHas, routerHasMetric } from './agree.js';
import { Babeld } from './babeld.js';
import { Bird } from './bird.js';
import { clock, hello, inTime, meeting, restartHeard } from './in-time.js';
import { kernelRoutes } from './kernel.js';
import { routeProtocol } from './kernel-routes.js';
import { pings } from './ping.js';
import { Missing, patience, until } from './until.js';
import { Weft } from './weft.js';
import { Wire } from './wire.js';
import { type Host, linkLocalOf, World } from './world.js';

function weftRoutes(host: Host): string[] {
  return kernelRoutes(host)
    .filter((route) => route.protocol === String(routeProtocol))
    .map((route) => route.prefix);
}

/** RFC 8966 §4: what weft said, as it passed the wire. */
function saidAsItShould(t: ExecutionContext, wire: Wire, weft: Host): void {
  const packets = wire.of(weft);
  t.true(packets.length > 20);
  for (const { sourcePort, destinationPort, hopLimit, destination, octets } of packets) {
    t.deepEqual([sourcePort, destinationPort, hopLimit], [6696, 6696, 1]);
    t.regex(destination, /^(ff02::1:6|fe80::[0-9a-f]+)$/);
    t.true(octets <= 1500 - 48);
  }
}

const isIpv4 = (prefix: string) => !prefix.includes(':');

/** IPv4 prefixes by an IPv6 next hop, in the router's own table and in its kernel (RFC 9229). */
async function hasByIpv6(router: Readable, prefixes: readonly string[], via: Host): Promise<void> {
  const wanted = prefixes.map((prefix) => `${prefix} via ${linkLocalOf(via)}`).sort();
  // A kernel may be a moment behind its router's table.
  await until(`IPv4 by IPv6 on ${router.host.name}`, patience, async () => {
    const table = (await router.table()).filter(({ selected }) => selected);
    const found = [table, kernelRoutes(router.host)].map((rows) =>
      rows
        .filter(({ prefix }) => prefixes.includes(prefix))
        .map((row) => `${row.prefix} via ${row.via}`)
        .sort(),
    );
    return isDeepStrictEqual(found, [wanted, wanted]) || new Missing(JSON.stringify(found));
  });
}

test('one LAN: weft, babeld and BIRD agree; IPv4 by IPv6 next hops, 200 prefixes, withdrawals, a metric raised, silence, restarts, kill -9', async (t) => {
  const world = new World();
  t.teardown(() => world.close());
  const [a, b, c, d, e] = ['a', 'b', 'c', 'd', 'e'].map((name) => world.host(name)) as [Host, Host, Host, Host, Host];
  world.lan('lan0', a, b, c);
  world.lanWithoutIpv4('bare', c, d, e);
  for (const host of [a, b, c, d, e]) world.addresses(host, ...addressesOf(host.number));
  const wire = await new Wire(world, 'lan0').ready();
  t.teardown(() => {
    if (!t.passed) t.log(wire.evidence());
  });
  const babeld = await new Babeld(world, a, { devices: ['lan0'], announce: allow }).ready();
  const bird = await new Bird(world, b, { devices: ['lan0'] }).ready();
  const behind = await new Babeld(world, d, { devices: ['bare'], announce: allow }).ready();
  const stub = await new Bird(world, e, { devices: ['bare'] }).ready();
  const weft = await new Weft(world, c, { devices: ['lan0', 'bare'], originate: addressesOf(3) }).ready();
  const ipv6 = (ways: readonly string[]) => ways.filter((way) => !isIpv4(way));
  await Promise.all([
    routerHas(weft, meeting, [...via(1, 1), ...via(2, 2), ...via(4, 4), ...ipv6(via(5, 5))]),
    routerHas(babeld, meeting, [...via(2, 2), ...via(3, 3, 4)]),
    routerHas(bird, meeting, [...via(1, 1), ...via(3, 3, 4)]),
    routerHas(behind, meeting, via(3, 1, 2, 3)),
    routerHas(stub, meeting, ipv6(via(3, 1, 2, 3))),
  ]);
  const learned = [...addressesOf(1), ...addressesOf(2), ...addressesOf(4), ...ipv6(addressesOf(5))];
  t.deepEqual(weftRoutes(c).sort(), learned.sort());
  await pings(c, 'fd00:3::1', 'fd00:1::1');
  await pings(c, '192.0.2.3', '192.0.2.2');

  // Over a LAN without IPv4 addresses, in both directions, and on through weft to one that has them.
  await hasByIpv6(behind, [1, 2, 3].flatMap(addressesOf).filter(isIpv4), c);
  await hasByIpv6(weft, addressesOf(4).filter(isIpv4), d);
  await pings(d, '192.0.2.4', '192.0.2.1');
  // BIRD 2.0.12 passes over such prefixes, and says itself that it has none.
  t.deepEqual(
    stub.table().filter(({ prefix, via }) => isIpv4(prefix) && via !== ''),
    [],
  );
  t.true(stub.log.some((line) => line.includes('Missing IPv4 next hop address for bare')));
  await stub.end('SIGTERM');

  let since = clock();
  await weft.withdraw(addressesOf(3));
  let heard = await wire.first(c, since, 'a withdrawal', /^retract fd00:3::1/);
  // BIRD repeats on a LAN what it hears there, and babeld goes on by that for up to 15 s: that is between the two.
  let settled: Millis[] = await Promise.all([
    routerHas(babeld, meeting, [], via(3, 3)),
    routerHas(bird, meeting, [], via(3, 3)),
  ]);
  inTime(t, 'weft withdraws', heard, settled);
  since = clock();
  await weft.originate(addressesOf(3));
  heard = await wire.first(c, since, 'an announcement', /^update fd00:3::1/);
  settled = await Promise.all([routerHas(babeld, meeting, via(3, 3)), routerHas(bird, meeting, via(3, 3))]);
  inTime(t, 'weft announces again', heard, settled);

  since = clock();
  await weft.originate(many);
  heard = await wire.first(c, since, 'the first of 200', announcesMany);
  settled = await Promise.all([
    routerHas(babeld, meeting, waysVia(3, many)),
    routerHas(bird, meeting, waysVia(3, many)),
  ]);
  inTime(t, 'weft announces 200 prefixes', heard, settled);
  await routerHas(behind, meeting, waysVia(3, many));
  await hasByIpv6(behind, many.filter(isIpv4), c);
  since = clock();
  await weft.withdraw(many);
  heard = await wire.first(c, since, 'the first retraction of 200', retractsMany);
  settled = await Promise.all([
    routerHas(babeld, meeting, via(3, 3), waysVia(3, many)),
    routerHas(bird, meeting, via(3, 3), waysVia(3, many)),
  ]);
  inTime(t, 'weft withdraws 200 prefixes', heard, settled);
  await routerHas(behind, meeting, via(3, 3), waysVia(3, many));
  since = clock();
  bird.configure({ announce: many });
  heard = await wire.first(b, since, 'the first of 200', announcesMany);
  settled = await Promise.all([routerHas(weft, meeting, waysVia(2, many))]);
  inTime(t, 'BIRD announces 200 prefixes, in weft', heard, settled);
  since = clock();
  bird.configure({ announce: [] });
  heard = await wire.first(b, since, 'the first retraction of 200', retractsMany);
  settled = await Promise.all([routerHas(weft, meeting, via(2, 2), waysVia(2, many))]);
  inTime(t, 'BIRD withdraws 200 prefixes, in weft', heard, settled);

  // BIRD has announced it at 96 here, so 400 is past what is feasible for it: it must ask, and weft must count one on.
  since = clock();
  await weft.originate(addressesOf(3), 400);
  heard = await wire.first(c, since, 'a metric', /^update fd00:3::1.* metric 400 /);
  settled = await Promise.all([
    routerHasMetric(babeld, meeting, addressesOf(3), 400),
    routerHasMetric(bird, meeting, addressesOf(3), 400),
  ]);
  inTime(t, 'weft raises its metric past feasibility', heard, settled);
  await wire.first(b, since, 'a request', /^seqnoRequest fd00:3::1/);
  await weft.originate(addressesOf(3));

  since = clock();
  bird.configure({ rxcost: 600 });
  const heardByWeft = wire.first(b, since, 'a cost to weft', /^ihu fe80::3 rxcost 600/);
  const heardByBabeld = wire.first(b, since, 'a cost to babeld', /^ihu fe80::1 rxcost 600/);
  settled = [await routerHasMetric(weft, meeting, addressesOf(2), 600)];
  inTime(t, 'BIRD raises its cost, in weft', await heardByWeft, settled);
  settled = [await routerHasMetric(babeld, meeting, addressesOf(2), 600)];
  inTime(t, 'BIRD raises its cost, in babeld', await heardByBabeld, settled);
  bird.configure({ rxcost: 96 });

  // A lost link is heard of when the first Hello does not come; how long babeld waits for more of them is between the
  // two.
  world.silence('lan0', b);
  since = clock();
  const [weftLost] = await Promise.all([
    routerHas(weft, meeting, via(1, 1), addressesOf(2)),
    routerHas(babeld, meeting, via(3, 3), addressesOf(2)),
  ]);
  inTime(t, 'BIRD falls silent, in weft', wire.lastHello(b, since) + hello, [weftLost]);
  since = clock();
  world.mend('lan0', b);
  // Until BIRD has heard twelve of sixteen Hellos it says that it does not hear us; at first it may not know that yet.
  await wire.first(b, since, 'that it hears weft', /^ihu fe80::3 rxcost 96/);
  const weftHas = await routerHas(weft, meeting, [...via(1, 1), ...via(2, 2)]);
  inTime(t, 'BIRD is heard again, in weft', wire.beganToHear(b, c, since, weftHas), [weftHas]);
  await Promise.all([
    routerHas(babeld, meeting, [...via(2, 2), ...via(3, 3)]),
    routerHas(bird, meeting, [...via(1, 1), ...via(3, 3)]),
  ]);

  since = clock();
  await babeld.end('SIGTERM'); // says goodbye with a wildcard retraction
  heard = await wire.first(a, since, 'goodbye', /^retract \*/);
  settled = await Promise.all([
    routerHas(weft, meeting, via(2, 2), addressesOf(1)),
    routerHas(bird, meeting, via(3, 3), addressesOf(1)),
  ]);
  inTime(t, 'babeld says goodbye', heard, settled);
  since = clock();
  await babeld.startAgain('kept');
  heard = await restartHeard(wire.first(a, since, 'Hello', /^hello/));
  settled = await Promise.all([routerHas(weft, meeting, via(1, 1)), routerHas(babeld, meeting, via(3, 3))]);
  inTime(t, 'babeld restarts', heard, settled);

  await bird.end('SIGKILL');
  since = clock();
  await bird.startAgain(); // a fresh router-id
  heard = await restartHeard(wire.first(b, since, 'Hello', /^hello/));
  settled = await Promise.all([routerHas(weft, meeting, via(2, 2)), routerHas(bird, meeting, via(3, 3))]);
  inTime(t, 'BIRD restarts', heard, settled);
  await routerHas(bird, meeting, via(1, 1)); // between the two of them, weft has no part in it

  await weft.end('SIGKILL');
  t.true(weftRoutes(c).length > 0, 'kill -9 leaves routes behind');
  since = clock();
  await weft.startAgain('kept');
  const sent = await restartHeard(wire.first(c, since, 'Hello', /^hello/));
  const [own, ...theirs] = await Promise.all([
    routerHas(weft, meeting, [...via(1, 1), ...via(2, 2)]),
    routerHas(babeld, meeting, via(3, 3)),
    routerHas(bird, meeting, via(3, 3)),
  ]);
  // They hear it at once; it hears them with their next Hellos.
  inTime(t, 'weft restarts, their tables', sent, theirs);
  const both = [a, b].map((host) => wire.first(host, sent, 'Hello', /^hello/));
  inTime(t, 'weft restarts, its own table', Math.max(...(await Promise.all(both))), [own]);
  since = clock();
  await weft.end('SIGTERM');
  t.deepEqual(weftRoutes(c), [], 'a proper end leaves none');
  heard = await wire.first(c, since, 'goodbye', /^retract \*/);
  settled = await Promise.all([routerHas(babeld, meeting, [], via(3, 3)), routerHas(bird, meeting, [], via(3, 3))]);
  inTime(t, 'weft says goodbye', heard, settled);
  await routerHas(behind, meeting, [], via(3, 3));
  saidAsItShould(t, wire, c);
  t.deepEqual([...babeld.complaints, ...bird.complaints, ...behind.complaints, ...stub.complaints], []);
});
