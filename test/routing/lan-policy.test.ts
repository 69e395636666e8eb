import test from 'ava';
import { parseIp } from '../../src/addr/ip.js';
import { nodePrefix } from '../../src/addr/node-number.js';
import { PacketWriter } from '../../src/routing/codec/packet-writer.js';
import type { LanPolicy } from '../../src/routing/contract.js';
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

test('a LAN destination that is lost is held for a minute at most, and let go', (t) => {
  const world = new Network(77);
  world.node(1);
  const lan = world.lan();
  world.attach(1, lan, open);
  const key = prefix('2001:db8::/48').key;
  router(world, lan, { address: 'fe80::9', prefixes: ['2001:db8::/48'] });
  world.run(3000);
  // One more LAN, so that there is somebody to tell.
  world.attach(1, world.lan(), open);
  world.run(20_000);
  world.send(1, { kind: 'interfaceDown', interface: lan });
  const change = () => world.nodes.get(1)!.routes.get(key);
  t.is(change()?.choices.length ?? 0, 0);
  t.true(change()?.held ?? false, 'dropped rather than sent by a shorter prefix');
  world.run(61_000);
  t.false(change()?.held ?? false);
});
