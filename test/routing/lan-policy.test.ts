import test from 'ava';
import { parseIp } from '../../src/addr/ip.js';
import { nodePrefix } from '../../src/addr/node-number.js';
import { PacketWriter } from '../../src/routing/codec/packet-writer.js';
import type { LanPolicy } from '../../src/routing/contract.js';
import { Hand, saidSince } from './hand.js';
import { Network, overlay, prefix } from './network.js';
import { tlvsOf } from './tlvs.js';

const everything = [prefix('::/0'), prefix('0.0.0.0/0')];
const open: LanPolicy = { imports: everything, exports: everything, connected: [], onLink: [], own: [] };

interface Voice {
  readonly address: string;
  readonly prefixes: readonly string[];
  /** Which Hellos are lost, by number. */
  readonly isLost?: (hello: number) => boolean;
  readonly routerId?: readonly [number, number];
}

/** A hand-made router that says Hello every second, hears everybody, and repeats its prefixes with each Hello. */
function router(world: Network, lan: number, { address, prefixes, isLost, routerId = [9, 9] }: Voice): void {
  let count = 0;
  const speak = () => {
    const writer = new PacketWriter(1400);
    writer.hello(++count, 100);
    for (const heard of new Set(world.heardOn(lan).map(({ from }) => from))) writer.ihu(heard, 256, 300);
    for (const text of prefixes) {
      const { bytes, length } = prefix(text);
      writer.update({
        prefix: bytes,
        prefixLength: length,
        routerIdHigh: routerId[0],
        routerIdLow: routerId[1],
        seqno: 7,
        metric: 0,
        interval: 400,
        nextHop4: parseIp('10.0.0.9'),
      });
    }
    if (!isLost?.(count)) world.say(lan, address, writer.finish());
    world.at(1000, speak);
  };
  speak();
}

const used = (world: Network, node: number) =>
  world.nodes
    .get(node)!
    .speaker.view(world.now)
    .filter((row) => row.selected && row.origin === undefined)
    .map((row) => String(row.prefix))
    .sort();

test('a LAN policy that changes lets go what is refused now, keeps the rest, and takes what is new', (t) => {
  const world = new Network(71);
  world.node(1);
  const lan = world.lan();
  world.attach(1, lan, { ...open, imports: [prefix('10.1.0.0/16'), prefix('10.2.0.0/16')] });
  router(world, lan, { address: 'fe80::9', prefixes: ['10.1.0.0/16', '10.2.0.0/16', '10.3.0.0/16'] });
  world.run(3000);
  t.deepEqual(used(world, 1), ['10.1.0.0/16', '10.2.0.0/16']);
  let lost = 0;
  world.watch = () => {
    if (!used(world, 1).includes('10.2.0.0/16')) lost++;
  };
  const policy = { ...open, imports: [prefix('10.2.0.0/16'), prefix('10.3.0.0/16')] };
  world.send(1, { kind: 'lanPolicyChanged', interface: lan, policy });
  t.deepEqual(used(world, 1), ['10.2.0.0/16'], 'at once');
  world.run(2000);
  t.deepEqual(used(world, 1), ['10.2.0.0/16', '10.3.0.0/16']);
  t.is(lost, 0, 'what both policies allow was there all the time');
  const asked = world.heardOn(lan).flatMap(({ bytes }) => tlvsOf(bytes));
  t.true(
    asked.some((line) => line.startsWith('routeRequest') && !line.includes('/')),
    asked.slice(-5).join('; '),
  );
});

test('a network that becomes connected is let go, whatever the list of imports says', (t) => {
  const world = new Network(72);
  world.node(1);
  const lan = world.lan();
  world.attach(1, lan, open);
  router(world, lan, { address: 'fe80::9', prefixes: ['10.1.0.0/16'] });
  world.run(3000);
  t.deepEqual(used(world, 1), ['10.1.0.0/16']);
  const policy = { ...open, connected: [prefix('10.1.7.0/24')] };
  world.send(1, { kind: 'lanPolicyChanged', interface: lan, policy });
  world.run(3000);
  t.deepEqual(used(world, 1), []);
  t.true(world.nodes.get(1)!.reports.some((report) => report.code === 'import-meets-connected'));
});

test('what is exported may change: what is not any more is taken back, on the LAN and in the overlay', (t) => {
  const world = new Network(73);
  for (const number of [1, 2]) world.node(number);
  world.link(1, 2);
  const lan = world.lan();
  const granted = [prefix('10.1.0.0/16')];
  for (const node of world.nodes.values()) node.authority.grantsOf.set(1, granted);
  world.attach(1, lan, open);
  router(world, lan, { address: 'fe80::9', prefixes: ['10.1.0.0/16'] });
  world.run(5000);
  const told = (from: number) =>
    world
      .heardOn(lan)
      .slice(from)
      .flatMap(({ bytes }) => tlvsOf(bytes));
  const home = String(nodePrefix(overlay, 2));
  t.true(told(0).some((line) => line.startsWith(`update ${home}`)));
  const before = world.heardOn(lan).length;
  world.send(1, { kind: 'lanPolicyChanged', interface: lan, policy: { ...open, exports: [] } });
  world.run(1000);
  t.true(told(before).includes(`retract ${home}`), told(before).join('; '));
  t.deepEqual(used(world, 2), ['10.1.0.0/16']);
  world.nodes.get(1)!.authority.grantsOf.set(1, []);
  world.send(1, { kind: 'certificateHeld', node: 1 });
  world.run(1000);
  t.deepEqual(used(world, 2), [], 'our own certificate grants it no more');
  t.deepEqual(used(world, 1), ['10.1.0.0/16'], 'we may use it still');
});

test('a network on the LAN itself is announced to the overlay and not to that LAN', (t) => {
  const world = new Network(74);
  for (const number of [1, 2]) world.node(number);
  world.link(1, 2);
  const lan = world.lan();
  const own = prefix('192.168.7.0/24');
  for (const node of world.nodes.values()) node.authority.grantsOf.set(1, [own]);
  world.attach(1, lan, { ...open, connected: [own], onLink: [own] });
  world.send(1, { kind: 'originate', prefix: own, metric: 0 });
  world.run(20_000);
  t.deepEqual(used(world, 2), [String(own)]);
  const lines = world.heardOn(lan).flatMap(({ bytes }) => tlvsOf(bytes));
  t.false(lines.some((line) => line.startsWith(`update ${own}`)));
});

test('a router without split horizon that repeats our own words is no offence', (t) => {
  const world = new Network(75);
  for (const number of [1, 2]) world.node(number);
  world.link(1, 2);
  const lan = world.lan();
  for (const node of world.nodes.values()) node.authority.grantsOf.set(2, [prefix('10.2.0.0/16')]);
  world.attach(1, lan, { ...open, imports: [] });
  world.send(2, { kind: 'originate', prefix: prefix('10.2.0.0/16'), metric: 0 });
  world.run(3000);
  const id = world.nodes.get(2)!.speaker.view(world.now)[0]!.routerId;
  const routerId = [Number.parseInt(id.slice(0, 8), 16), Number.parseInt(id.slice(8), 16)] as const;
  router(world, lan, { address: 'fe80::9', prefixes: ['10.2.0.0/16'], routerId });
  world.run(3000);
  t.deepEqual(world.nodes.get(1)!.reports, []);
  router(world, lan, { address: 'fe80::8', prefixes: ['10.2.0.0/16'], routerId: [8, 8] });
  world.run(3000);
  t.deepEqual(
    world.nodes.get(1)!.reports.map((report) => report.code),
    ['foreign-import'],
  );
});

test('wireless: half of the Hellos lost doubles the cost, both ways counted (ETX)', (t) => {
  const world = new Network(76);
  world.node(1);
  const lan = world.lan();
  world.attach(1, lan, { ...open, type: 'wireless', helloInterval: 1000 });
  router(world, lan, { address: 'fe80::9', prefixes: ['10.1.0.0/16'] });
  router(world, lan, { address: 'fe80::8', prefixes: [], isLost: (hello) => hello % 2 === 0 });
  world.run(40_000);
  const [good, bad] = ['fe80::9', 'fe80::8'].map(
    (address) =>
      world.nodes
        .get(1)!
        .speaker.neighbours()
        .find((row) => Buffer.compare(row.address, parseIp(address)!) === 0)!,
  );
  t.deepEqual([good!.rxcost, good!.cost], [256, 256]);
  t.true(bad!.rxcost > 460 && bad!.rxcost < 560, `${bad!.rxcost}`);
  t.is(bad!.cost, bad!.rxcost);
});

const seconds = 1000;

/** Of a prefix that is lost: whether it is held at once, after 30 s, after 59 s and after 61 s. */
function heldThrough(world: Network, key: string): boolean[] {
  const isHeld = () => world.nodes.get(1)!.routes.get(key)?.held ?? false;
  const held = [isHeld()];
  for (const more of [30 * seconds, 29 * seconds, 2 * seconds]) {
    world.run(more);
    held.push(isHeld());
  }
  return held;
}
const forAMinute = [true, true, true, false];

/** A router that listens there, from now on. */
function listener(world: Network, lan: number): void {
  new Hand(world, lan, 'fe80::7').keepGreeting();
}

for (const type of ['wired', 'tunnel', 'wireless'] as const) {
  test(`what a ${type} LAN was told of and is lost is held for a minute, as nobody acknowledges there, and let go`, (t) => {
    const world = new Network(77);
    world.node(1);
    const [lan, other] = [world.lan(), world.lan()];
    for (const each of [lan, other]) world.attach(1, each, { ...open, type });
    world.run(100);
    const hand = new Hand(world, lan, 'fe80::9');
    hand.keepGreeting();
    listener(world, other);
    world.run(5000);
    hand.announce('2001:db8::/48', 7, 0);
    world.run(20_000);
    hand.announce('2001:db8::/48', 7, 0xffff);
    const lost = world.now;
    t.deepEqual(heldThrough(world, prefix('2001:db8::/48').key), forAMinute);
    const times = saidSince(world, other, lost).filter(({ line }) => line === 'retract 2001:db8::/48');
    t.is(times.length, type === 'wireless' ? 3 : 2);
    t.true(
      times.every(({ at }) => at - lost < 2000),
      'long after the last word of it',
    );
  });
}

for (const [updateInterval, believed] of [
  [16 * seconds, 56 * seconds],
  [60 * seconds, 210 * seconds],
  [600 * seconds, 2100 * seconds],
] as const) {
  test(`what is told every ${updateInterval / seconds} s, and lost, is held and not taken back as long as who heard nothing of it may repeat it`, (t) => {
    const world = new Network(77);
    const node = world.node(1);
    const [lan, other] = [world.lan(), world.lan()];
    for (const each of [lan, other]) world.attach(1, each, { ...open, type: 'wired', updateInterval });
    world.run(100);
    const [router, deaf] = [new Hand(world, lan, 'fe80::9'), new Hand(world, other, 'fe80::7')];
    for (const each of [router, deaf]) each.keepGreeting();
    world.run(5000);
    router.announce('2001:db8::/48', 7, 0);
    world.run(10_000);
    const lost = world.now;
    router.announce('2001:db8::/48', 7, 0xffff);
    const route = () => node.routes.get(prefix('2001:db8::/48').key);
    let takenBack = 0;
    world.watch = () => {
      if (route()?.choices.length) takenBack++;
    };
    // It says until its own route is over what it has from us, and its last word counts for 3.5 of its own intervals.
    while (world.now - lost < believed - 4 * seconds) {
      if (world.now > lost) t.true(route()?.held, `${world.now - lost} ms`);
      deaf.announce('2001:db8::/48', 7, 192, updateInterval / 10);
      world.run(4 * seconds);
    }
    t.true(route()?.held, 'held to the end');
    deaf.announce('2001:db8::/48', 7, 0xffff);
    const longest = Math.max(60 * seconds, believed);
    world.run(lost + longest + 1000 - world.now);
    t.is(route(), undefined, 'and no longer');
    t.is(takenBack, 0);
    // A router that begins anew is used when all that is over.
    world.watch = undefined;
    const speak = () => {
      router.announce('2001:db8::/48', 1, 0, 1600);
      world.at(4 * seconds, speak);
    };
    speak();
    t.truthy(world.until(() => route()?.choices.length === 1, 250 * seconds));
  });
}

test('a node’s /64 that a LAN was told of is held for a minute, whoever has acknowledged in the overlay', (t) => {
  const world = new Network(5);
  for (const number of [1, 2, 3]) world.node(number);
  world.link(1, 2);
  world.link(1, 3);
  const lan = world.lan();
  world.attach(1, lan, open);
  listener(world, lan);
  world.run(30_000);
  const home = nodePrefix(overlay, 2);
  const other = nodePrefix(overlay, 3);
  world.send(1, { kind: 'lanPolicyChanged', interface: lan, policy: { ...open, exports: [home] } });
  world.run(61_000);
  for (const number of [2, 3]) world.send(number, { kind: 'withdraw', prefix: nodePrefix(overlay, number) });
  const node = world.nodes.get(1)!;
  t.truthy(world.until(() => node.routes.get(home.key)?.choices.length === 0, 1000));
  world.run(500);
  t.false(node.routes.has(other.key), 'no LAN was told of this one');
  t.deepEqual(heldThrough(world, home.key), forAMinute);
});

test('on a LAN without a router nobody believes in what is lost: it is held as in the overlay, for a minute after one left', (t) => {
  const world = new Network(80);
  for (const number of [1, 2]) world.node(number);
  world.link(1, 2);
  const lan = world.lan();
  world.attach(1, lan, open);
  const own = prefix('2001:db8::/48');
  for (const node of world.nodes.values()) node.authority.grantsOf.set(1, [own]);
  const isHeld = () => world.nodes.get(1)!.routes.get(own.key)?.held ?? false;
  const heldFor = () => {
    world.send(1, { kind: 'originate', prefix: own, metric: 0 });
    world.run(5000);
    world.send(1, { kind: 'withdraw', prefix: own });
    t.true(isHeld());
    return world.until(() => !isHeld(), 61_000);
  };
  world.run(3000);
  const alone = heldFor();
  t.true(alone !== undefined && alone <= 3000, `${alone} ms`);
  new Hand(world, lan, 'fe80::7').greet();
  const { speaker } = world.nodes.get(1)!;
  const hears = () => speaker.neighbours().some(({ interface: id }) => id === lan);
  t.true(hears());
  t.truthy(world.until(() => !hears(), 120_000));
  world.run(50_000);
  const left = heldFor();
  t.true(left !== undefined && left > 59_000, `${left} ms`);
  world.run(61_000);
  const again = heldFor();
  t.true(again !== undefined && again <= 3000, `${again} ms`);
});

test('what is found for a moment while it is held, and told nobody, is held again when it is lost', (t) => {
  const world = new Network(77);
  world.node(1);
  const lan = world.lan();
  world.attach(1, lan, open);
  listener(world, lan);
  const own = prefix('2001:db8::/48');
  const say = (kind: 'originate' | 'withdraw') =>
    world.send(1, kind === 'withdraw' ? { kind, prefix: own } : { kind, prefix: own, metric: 0 });
  say('originate');
  world.run(5000);
  say('withdraw');
  world.run(10_000);
  say('originate');
  say('withdraw');
  const isHeld = () => world.nodes.get(1)!.routes.get(own.key)?.held ?? false;
  t.true(isHeld());
  world.run(49_000);
  t.true(isHeld());
  world.run(2000);
  t.false(isHeld(), 'a minute after it was retracted');
});

test('what a LAN was told of, and is not exported there any more, is held as well when it is lost within the minute', (t) => {
  const world = new Network(79);
  world.node(1);
  const lan = world.lan();
  world.attach(1, lan, open);
  listener(world, lan);
  const own = prefix('2001:db8::/48');
  world.send(1, { kind: 'originate', prefix: own, metric: 0 });
  world.run(5000);
  world.send(1, { kind: 'lanPolicyChanged', interface: lan, policy: { ...open, exports: [] } });
  world.run(10_000);
  const from = world.now;
  world.send(1, { kind: 'withdraw', prefix: own });
  const isHeld = () => world.nodes.get(1)!.routes.get(own.key)?.held ?? false;
  t.true(isHeld());
  const took = world.until(() => !isHeld(), 61_000);
  t.true(took !== undefined && took > 49_000 && took <= 50_200, `${took} ms`);
  t.deepEqual(
    saidSince(world, lan, from).filter(({ line }) => line === `retract ${own}`),
    [],
  );
});

test('a LAN router that asked for what split horizon keeps from the others is told when that is lost', (t) => {
  const world = new Network(78);
  world.node(1);
  const lan = world.lan();
  world.attach(1, lan, { ...open, type: 'wired' });
  world.run(100);
  const [hand, asker] = [new Hand(world, lan, 'fe80::9'), new Hand(world, lan, 'fe80::8')];
  for (const each of [hand, asker]) each.keepGreeting();
  world.run(5000);
  const { bytes, length, key } = prefix('2001:db8::/48');
  hand.announce('2001:db8::/48', 7, 0);
  world.run(1000);
  let from = world.now;
  asker.say((writer) => writer.routeRequest(bytes, length));
  world.run(1000);
  const told = () => saidSince(world, lan, from).filter(({ line }) => line.includes(' 2001:db8::/48'));
  const isAnswer = ({ to, line }: { to: unknown; line: string }) =>
    (to as Uint8Array).at(-1) === 8 && line.startsWith('update');
  t.deepEqual(told().map(isAnswer), [true, true], 'twice the same, by itself');
  from = world.now;
  hand.announce('2001:db8::/48', 7, 0xffff);
  t.deepEqual(heldThrough(world, key), forAMinute);
  t.deepEqual(
    told().map(({ to, line }) => [to.at(-1), line]),
    Array(2).fill([8, 'retract 2001:db8::/48']),
  );
});
