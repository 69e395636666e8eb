import test from 'ava';
import { formatIp, parseIp } from '../../src/addr/ip.js';
import { nodePrefix } from '../../src/addr/node-number.js';
import { equalBytes } from '../../src/bytes.js';
import { PacketWriter } from '../../src/routing/codec/packet-writer.js';
import { Hand } from './hand.js';
import { Network, overlay, prefix } from './network.js';
import { tlvsOf } from './tlvs.js';

const everywhere = [prefix('::/0'), prefix('0.0.0.0/0')];

/** A hand-made router on a LAN that announces these prefixes every 4 s. */
function router(world: Network, lan: number, name: string, id: readonly [number, number], prefixes: readonly string[]) {
  let seqno = 1;
  const speak = () => {
    const writer = new PacketWriter(1400);
    writer.hello(seqno++, 400);
    for (const heard of new Set(world.heardOn(lan).map(({ from }) => from))) writer.ihu(heard, 96, 1200);
    for (const text of prefixes) {
      const p = prefix(text);
      writer.update({
        prefix: p.bytes,
        prefixLength: p.length,
        routerIdHigh: id[0],
        routerIdLow: id[1],
        seqno: 7,
        metric: 0,
        interval: 1600,
        nextHop4: parseIp('10.0.0.9'),
      });
    }
    world.say(lan, name, writer.finish());
    world.at(4000, speak);
  };
  speak();
}

test('two speakers on one LAN learn each other’s prefixes, timestamps and all', (t) => {
  const world = new Network(41);
  world.node(1);
  world.node(2);
  const lan = world.lan();
  const options = {
    exports: [prefix('10.0.0.0/8'), prefix('2001:db8::/32')],
    imports: everywhere,
    ownIpv4: parseIp('10.0.0.1')!,
  };
  world.attach(1, lan, options);
  world.attach(2, lan, { ...options, ownIpv4: parseIp('10.0.0.2')! });
  world.send(1, { kind: 'originate', prefix: prefix('10.1.0.0/16'), metric: 0 });
  world.send(2, { kind: 'originate', prefix: prefix('2001:db8:2::/48'), metric: 0 });
  world.run(3000);
  const v4 = world.nodes.get(2)!.routes.get(prefix('10.1.0.0/16').key)!.choices[0]!;
  t.deepEqual(v4.nextHop, parseIp('10.0.0.1'));
  t.is(v4.metric, 96);
  t.is(v4.egress, undefined);
  t.truthy(world.nodes.get(1)!.routes.get(prefix('2001:db8:2::/48').key));
  world.run(10_000);
  t.true(world.nodes.get(1)!.speaker.neighbours()[0]!.rtt! < 1);
  const lines = world.heardOn(lan).flatMap(({ bytes }) => tlvsOf(bytes));
  t.false(
    lines.some((line) => /hello \d+ every 0/.test(line)),
    'never an unscheduled Hello',
  );
  t.false(lines.some((line) => line.includes('hello unicast')));
  for (const { bytes } of world.heardOn(lan)) {
    t.true(tlvsOf(bytes).filter((line) => line.startsWith('hello')).length <= 1, 'never two Hellos in a packet');
  }
});

test('a LAN behind a node is reachable from every other, and the other way', (t) => {
  const world = new Network(42);
  for (let i = 1; i <= 3; i++) world.node(i);
  world.link(1, 2);
  world.link(2, 3);
  const lan = world.lan();
  for (const node of world.nodes.values())
    node.authority.grantsOf.set(1, [prefix('10.0.0.0/8'), prefix('2001:db8::/32')]);
  world.attach(1, lan, {
    imports: [prefix('10.0.0.0/8'), prefix('2001:db8::/32')],
    exports: [overlay],
    ownIpv4: parseIp('10.0.0.1')!,
  });
  router(world, lan, 'fe80::9', [9, 9], ['10.9.0.0/16', '2001:db8:9::/48', '172.16.0.0/12']);
  world.run(8000);
  for (const text of ['10.9.0.0/16', '2001:db8:9::/48']) {
    const choice = world.nodes.get(3)!.routes.get(prefix(text).key)!.choices[0]!;
    t.is(choice.egress, 1, text);
    t.is(choice.routerId, '0000000900000009', 'the router’s own id');
    t.is(choice.seqno, 7);
  }
  t.is(world.nodes.get(1)!.routes.get(prefix('172.16.0.0/12').key), undefined, 'not on the list');
  t.true(world.nodes.get(1)!.reports.some((report) => report.code === 'foreign-import'));
  const lines = world.heardOn(lan).flatMap(({ bytes }) => tlvsOf(bytes));
  t.true(lines.some((line) => line.startsWith(`update ${nodePrefix(overlay, 3)}`)));
  t.false(
    lines.some((line) => line.includes('signed') || line.includes('egress')),
    'our extensions stay inside',
  );
});

test('unicast Hellos have numbers and a history of their own, and either kind keeps a neighbour (RFC 8966 §3.4.1)', (t) => {
  const world = new Network(46);
  const { speaker } = world.node(1);
  const lan = world.lan();
  world.attach(1, lan);
  world.run(100);
  const hand = new Hand(world, lan, 'fe80::9');
  let unicast = 40_000;
  /** RFC 8966 §4.6.5: a Hello with the U flag, every 4 s. */
  const greetAlone = () => {
    const seqno = unicast++;
    world.say(lan, hand.address, Uint8Array.of(42, 2, 0, 8, 4, 6, 0x80, 0, seqno >> 8, seqno & 0xff, 0x01, 0x90));
  };
  for (let i = 0; i < 20; i++) {
    hand.greet();
    greetAlone();
    world.run(4000);
  }
  const row = () => speaker.neighbours()[0]!;
  t.deepEqual([row().hellos, row().cost], [0xffff, 96]);
  t.is(speaker.neighbours().length, 1);
  for (let i = 0; i < 20; i++) {
    if (i % 3 === 0) hand.say((writer) => writer.ihu(undefined, 96, 1200));
    greetAlone();
    world.run(4000);
  }
  t.deepEqual([row().hellos, row().cost], [0, 96]);
});

test('two nodes on one LAN make no loop, and repeat nothing there of what its routers announce while they hear them', (t) => {
  const world = new Network(43);
  for (let i = 1; i <= 3; i++) world.node(i);
  world.link(1, 3);
  world.link(2, 3);
  const lan = world.lan();
  for (const node of world.nodes.values()) {
    node.authority.grantsOf.set(1, [prefix('10.0.0.0/8')]);
    node.authority.grantsOf.set(2, [prefix('10.0.0.0/8')]);
  }
  for (const number of [1, 2])
    world.attach(number, lan, {
      imports: [prefix('10.0.0.0/8')],
      exports: everywhere,
      ownIpv4: parseIp(`10.0.0.${number}`)!,
    });
  router(world, lan, 'fe80::9', [9, 9], ['10.9.0.0/16']);
  let loops = 0;
  world.watch = () => {
    if (world.loop()) loops++;
  };
  world.run(10_000);
  t.is(loops, 0);
  const key = prefix('10.9.0.0/16').key;
  for (const number of [1, 2]) {
    const route = world.nodes.get(number)!.routes.get(key)!;
    t.is(route.choices[0]!.egress, undefined, 'straight onto the LAN');
  }
  t.true([1, 2].includes(world.nodes.get(3)!.routes.get(key)!.choices[0]!.egress!));
  // The router falls silent: neither gateway tells the LAN that the other knows a way.
  const before = world.heardOn(lan).length;
  world.watch = undefined;
  world.send(1, { kind: 'interfaceDown', interface: lan });
  world.attach(1, lan, { imports: [prefix('10.0.0.0/8')], exports: everywhere });
  world.run(3000);
  const lines = world
    .heardOn(lan)
    .slice(before)
    .filter(({ from }) => from[15] === 2)
    .flatMap(({ bytes }) => tlvsOf(bytes));
  t.false(lines.some((line) => line.startsWith('update 10.9.0.0/16')));
});

test('an imported prefix that meets a connected network or the default gateway is refused and reported', (t) => {
  const world = new Network(44);
  world.node(1);
  const lan = world.lan();
  world.attach(1, lan, { imports: everywhere, connected: [prefix('10.9.1.0/24'), prefix('192.168.1.1/32')] });
  router(world, lan, 'fe80::9', [9, 9], ['10.9.0.0/16', '10.9.1.128/25', '192.168.1.0/24', '10.8.0.0/16']);
  world.run(1000);
  const node = world.nodes.get(1)!;
  t.deepEqual([...node.routes.keys()], [prefix('10.8.0.0/16').key]);
  t.is(node.reports.filter((report) => report.code === 'import-meets-connected').length, 1, 'once a minute');
  t.true(node.speaker.counts().get('import-meets-connected')! >= 3);
});

test('a LAN neighbour that falls silent is lost after its Hellos, and gone', (t) => {
  const world = new Network(45);
  world.node(1);
  world.node(2);
  const lan = world.lan();
  for (const number of [1, 2])
    world.attach(number, lan, { helloInterval: 1000, imports: everywhere, exports: everywhere });
  world.send(2, { kind: 'originate', prefix: prefix('2001:db8::/48'), metric: 0 });
  world.run(5000);
  const key = prefix('2001:db8::/48').key;
  t.truthy(world.nodes.get(1)!.routes.get(key)?.choices.length);
  world.nodes.get(2)!.running = false;
  const took = world.until(() => !world.nodes.get(1)!.routes.get(key)?.choices.length, 10_000);
  t.true(took! > 1000 && took! < 4000, `${took} ms`);
  world.run(60_000);
  t.is(world.nodes.get(1)!.speaker.neighbours().length, 0);
});

for (const type of ['wired', 'tunnel', 'wireless'] as const) {
  test(`on a ${type} LAN a neighbour that says Hello and no IHU any more costs infinity after 3.5 of its intervals`, (t) => {
    const world = new Network(64);
    world.node(1);
    const lan = world.lan();
    world.attach(1, lan, { imports: everywhere, type });
    const other = new Hand(world, lan, 'fe80::9');
    for (let i = 0; i < 3; i++) {
      other.greet();
      world.run(4000);
    }
    other.announce('2001:db8:9::/48', 7, 0);
    other.greet();
    const cost = () => world.nodes.get(1)!.speaker.neighbours()[0]!.cost;
    const greeted = world.now;
    while (cost() < 0xffff && world.now < greeted + 100_000) {
      world.run(1000);
      if ((world.now - greeted) % 4000 === 0) other.hello();
    }
    t.is(world.now - greeted, 42_000);
    t.is(world.nodes.get(1)!.routes.get(prefix('2001:db8:9::/48').key)?.choices.length ?? 0, 0);
  });
}

test('stopping retracts everything at once', (t) => {
  const world = new Network(46);
  world.node(1);
  world.node(2);
  const lan = world.lan();
  for (const number of [1, 2]) world.attach(number, lan, { imports: everywhere, exports: everywhere });
  world.send(2, { kind: 'originate', prefix: prefix('2001:db8::/48'), metric: 0 });
  world.run(5000);
  world.send(2, { kind: 'stopping' });
  world.nodes.get(2)!.running = false;
  t.truthy(world.until(() => !world.nodes.get(1)!.routes.get(prefix('2001:db8::/48').key)?.choices.length, 300));
});

test('a route nobody repeats expires twice: first infinite, then forgotten', (t) => {
  const world = new Network(47);
  world.node(1);
  const lan = world.lan();
  world.attach(1, lan, { imports: everywhere });
  const writer = new PacketWriter(1400);
  const hello = (seqno: number) => {
    writer.hello(seqno, 400);
    for (const heard of new Set(world.heardOn(lan).map(({ from }) => from))) writer.ihu(heard, 96, 1200);
    world.say(lan, 'fe80::9', writer.finish());
    world.at(4000, () => hello(seqno + 1));
  };
  hello(1);
  const p = prefix('2001:db8::/48');
  writer.update({
    prefix: p.bytes,
    prefixLength: p.length,
    routerIdHigh: 9,
    routerIdLow: 9,
    seqno: 1,
    metric: 0,
    interval: 400,
  });
  world.say(lan, 'fe80::9', writer.finish());
  const view = () =>
    world.nodes
      .get(1)!
      .speaker.view(world.now)
      .find((row) => row.prefix.key === p.key);
  t.true(view()!.selected);
  const from = world.heardOn(lan).length;
  world.run(13_900);
  t.true(view()!.selected);
  const asked = world
    .heardOn(lan)
    .slice(from)
    .flatMap(({ bytes }) => tlvsOf(bytes));
  t.true(asked.includes('routeRequest 2001:db8::/48'), 'asked for before it expires');
  world.run(300);
  t.is(view()!.metric, 65535);
  t.is(view()!.standing, 'retracted');
  world.run(14_100);
  t.is(view(), undefined);
});

test('a request for what we do not know is answered by a retraction, whatever covers it, one for what came from there by an update', (t) => {
  const world = new Network(48);
  world.node(1);
  const lan = world.lan();
  world.attach(1, lan, { imports: everywhere, exports: everywhere });
  router(world, lan, 'fe80::9', [9, 9], ['2001:db8:9::/48']);
  world.run(20_000);
  const unasked = world.heardOn(lan).flatMap(({ bytes }) => tlvsOf(bytes));
  t.false(
    unasked.some((line) => line.startsWith('update 2001:db8:9::/48')),
    'unasked it is not said where it came from (split horizon)',
  );
  const from = world.heardOn(lan).length;
  const writer = new PacketWriter(1400);
  for (const text of ['2001:db8:77::/48', '2001:db8:9:1::/64', '2001:db8:9::/48'])
    writer.routeRequest(prefix(text).bytes, prefix(text).length);
  world.say(lan, 'fe80::9', writer.finish());
  world.run(300);
  const lines = world
    .heardOn(lan)
    .slice(from)
    .flatMap(({ bytes }) => tlvsOf(bytes));
  t.true(lines.includes('retract 2001:db8:77::/48'));
  t.true(lines.includes('retract 2001:db8:9:1::/64'), 'what covers it is no answer');
  t.true(lines.some((line) => line.startsWith('update 2001:db8:9::/48 id 0000000900000009 seqno 7 metric 96')));
});

test('who asked for what split horizon keeps from all is told when it costs more, and nobody else is', (t) => {
  const world = new Network(50);
  world.node(1);
  const lan = world.lan();
  world.attach(1, lan, { imports: everywhere, exports: everywhere });
  router(world, lan, 'fe80::9', [9, 9], ['2001:db8:9::/48']);
  for (const name of ['fe80::7', 'fe80::8']) router(world, lan, name, [8, 8], []);
  world.run(20_500);
  const say = (name: string, fill: (writer: PacketWriter) => void) => {
    const writer = new PacketWriter(1400);
    fill(writer);
    world.say(lan, name, writer.finish());
  };
  const { bytes, length } = prefix('2001:db8:9::/48');
  say('fe80::8', (writer) => writer.routeRequest(bytes, length));
  world.run(2000); // the answer was said twice
  const from = world.heardOn(lan).length;
  say('fe80::9', (writer) => writer.ihu(world.heardOn(lan)[0]!.from, 600, 1200));
  world.run(1400);
  const told = world
    .heardOn(lan)
    .slice(from)
    .filter((heard) => tlvsOf(heard.bytes).some((line) => /^update 2001:db8:9::.* metric 600 /.test(line)));
  t.deepEqual([...new Set(told.map(({ to }) => (to === 'multicast' ? to : formatIp(to))))], ['fe80::8']);
});

test('the same update by another next hop: packets go there from then on, and nobody else is told', (t) => {
  const world = new Network(49);
  const node = world.node(1);
  const lan = world.lan();
  world.attach(1, lan, { imports: everywhere });
  const other = world.lan();
  world.attach(1, other);
  const told = (from: number) =>
    world
      .heardOn(other)
      .slice(from)
      .flatMap(({ bytes }) => tlvsOf(bytes))
      .filter((line) => line.startsWith('update 10.9.0.0/16'));
  router(world, lan, 'fe80::9', [9, 9], ['10.9.0.0/16']);
  world.run(2000);
  const p = prefix('10.9.0.0/16');
  const nextHop = () => node.routes.get(p.key)?.choices[0]?.nextHop;
  t.deepEqual(nextHop(), parseIp('10.0.0.9'));
  t.true(told(0).length > 0);
  const from = world.heardOn(other).length;
  const writer = new PacketWriter(1400);
  const routerId = { routerIdHigh: 9, routerIdLow: 9 };
  const fields = { prefix: p.bytes, prefixLength: p.length, ...routerId, seqno: 7, metric: 0, interval: 1600 };
  writer.update({ ...fields, nextHop4: parseIp('10.0.0.8') });
  world.say(lan, 'fe80::9', writer.finish());
  t.deepEqual(nextHop(), parseIp('10.0.0.8'));
  t.deepEqual(node.speaker.view(world.now).find((row) => row.prefix.key === p.key)?.nextHop, parseIp('10.0.0.8'));
  world.run(1000);
  t.deepEqual(told(from), []);
});

test('a node with two interfaces on one LAN is its own neighbour, and nothing comes of it', (t) => {
  const world = new Network(53);
  const node = world.node(1);
  const lans = [world.lan(), world.lan()] as const;
  for (const lan of lans) {
    world.attach(1, lan, { imports: everywhere, type: 'tunnel' });
    router(world, lan, 'fe80::9', [9, 9], ['10.9.0.0/16', '2001:db8:9::/48']);
  }
  world.send(1, { kind: 'originate', prefix: prefix('10.1.0.0/16'), metric: 0 });
  const ownAddresses = lans.map((lan) => world.heardOn(lan)[0]?.from ?? parseIp('::')!);
  const carried = [0, 0];
  const carry = () => {
    for (const [i, lan] of lans.entries()) {
      const far = lans[1 - i]!;
      const heard = world.heardOn(lan).slice(carried[i]);
      carried[i]! += heard.length;
      for (const { from, to, bytes } of heard) {
        ownAddresses[i] = from;
        const isForIt = to === 'multicast' || formatIp(to) === formatIp(ownAddresses[1 - i]!);
        if (isForIt) world.deliver(1, far, from, bytes);
      }
    }
    world.at(1, carry);
  };
  carry();
  let viaItself = 0;
  world.watch = () => {
    for (const { choices } of node.routes.values())
      for (const { nextHop } of choices) if (ownAddresses.some((own) => equalBytes(own, nextHop))) viaItself++;
  };
  world.run(60_000);
  const packets = node.packetsSent;
  world.run(60_000);
  const itself = node.speaker
    .neighbours()
    .filter(({ address }) => ownAddresses.some((own) => equalBytes(own, address)));
  t.is(itself.length, 2);
  t.true(
    itself.every(({ cost }) => cost < 0xffff),
    'it is a neighbour like others',
  );
  t.is(viaItself, 0);
  for (const text of ['10.9.0.0/16', '2001:db8:9::/48'])
    t.is(node.routes.get(prefix(text).key)?.choices.length, 2, text);
  t.deepEqual(node.reports, []);
  t.true(node.packetsSent - packets < 120, `${node.packetsSent - packets} packets in a minute`);
});

test('a table that came before the first Hello is used once both directions work; who never says Hello is forgotten', (t) => {
  const world = new Network(50);
  const node = world.node(1);
  const lan = world.lan();
  world.attach(1, lan, { imports: everywhere });
  world.run(1000);
  const p = prefix('2001:db8:9::/48');
  const [hand, silent] = [new Hand(world, lan, 'fe80::9'), new Hand(world, lan, 'fe80::8', [8, 8])];
  for (const one of [hand, silent]) one.announce('2001:db8:9::/48', 7, 0);
  t.is(node.routes.get(p.key)?.choices.length ?? 0, 0, 'not used yet');
  world.run(900);
  hand.greet();
  t.deepEqual(node.routes.get(p.key)?.choices[0]?.nextHop, parseIp('fe80::9'));
  world.run(3000);
  hand.keepGreeting();
  world.run(15_000);
  t.deepEqual(
    node.speaker.neighbours().map(({ address }) => address[15]),
    [9],
  );
});

/** Times at which node 1 said Hello on the LAN, its seqnos, and what else it said in those packets. */
function greetings(world: Network, lan: number) {
  return world
    .heardOn(lan)
    .filter(({ from }) => from[15] === 1)
    .map(({ at, bytes }) => ({ at, lines: tlvsOf(bytes) }))
    .filter(({ lines }) => lines.some((line) => line.startsWith('hello')));
}

function hello(seqno: number, ...more: readonly ((writer: PacketWriter) => void)[]): Uint8Array {
  const writer = new PacketWriter(600);
  writer.hello(seqno, 400);
  for (const write of more) write(writer);
  return writer.finish();
}

test('a LAN router that comes, or restarts, hears three Hellos with IHU at once, and is asked until it answers', (t) => {
  const world = new Network(45);
  world.node(1);
  const lan = world.lan();
  world.attach(1, lan);
  world.run(20_000);
  for (const [seqno, what] of [
    [7, 'comes'],
    [5000, 'restarts'],
  ] as const) {
    const before = world.heardOn(lan).length;
    const from = world.now;
    world.say(lan, 'fe80::9', hello(seqno));
    world.run(1000);
    const said = greetings(world, lan).filter(({ at }) => at >= from);
    t.true(said.length >= 3, what);
    t.true(said[0]!.at - from <= 20 && said[2]!.at - from <= 700, `${what}: ${said.map(({ at }) => at - from)}`);
    const seqnos = said.map(({ lines }) => Number(/^hello (\d+)/.exec(lines[0]!)![1]));
    for (let i = 1; i < seqnos.length; i++) t.is(seqnos[i], (seqnos[i - 1]! + 1) & 0xffff);
    for (const { lines } of said.slice(0, 3)) {
      t.true(
        lines.some((line) => line.startsWith('ihu fe80::9 rxcost 96')),
        lines.join('; '),
      );
    }
    const requests = world
      .heardOn(lan)
      .slice(before)
      .filter(({ bytes }) => tlvsOf(bytes).includes('routeRequest *'));
    t.is(requests.length, 2, 'with the second and the third');
    world.run(9000);
  }
});

test('a router that asks for all is greeted although its Hellos do not seem to begin anew', (t) => {
  const world = new Network(46);
  world.node(1);
  const lan = world.lan();
  world.attach(1, lan);
  world.run(500);
  for (let seqno = 1; seqno <= 8; seqno++) {
    world.say(lan, 'fe80::9', hello(seqno));
    world.run(3000);
  }
  const from = world.now;
  world.say(
    lan,
    'fe80::9',
    hello(1, (writer) => writer.wildcardRequest()),
  );
  world.run(100);
  const said = greetings(world, lan).filter(({ at }) => at >= from);
  t.true(said[0]?.lines.some((line) => line.startsWith('ihu fe80::9')));
});

test('routers that come and go, however many, do not make us shout', (t) => {
  const world = new Network(47);
  world.node(1);
  const lan = world.lan();
  world.attach(1, lan);
  world.run(20_000);
  const from = world.now;
  const minute = 60_000;
  for (let i = 0; world.now - from < minute; i++) {
    world.say(
      lan,
      `fe80::${(0x100 + (i % 200)).toString(16)}`,
      hello((i * 999) & 0xffff, (w) => w.wildcardRequest()),
    );
    world.say(
      lan,
      'fe80::9',
      hello((i * 777) & 0xffff, (w) => w.wildcardRequest()),
    );
    world.run(50);
  }
  const count = greetings(world, lan).filter(({ at }) => at >= from).length;
  const scheduled = minute / (0.9 * 4000);
  const early = 12 + minute / 1000;
  t.true(count <= scheduled + early + 1, `${count} Hellos in a minute`);
});

test('a wired neighbour that comes back is believed at once three times, and then no oftener than once a minute', (t) => {
  const world = new Network(48);
  const node = world.node(1);
  const lan = world.lan();
  world.attach(1, lan, { imports: everywhere });
  const say = (from: string, seqno: number, prefixMetric: number | undefined) => {
    const writer = new PacketWriter(600);
    writer.hello(seqno, 400);
    writer.ihu(world.heardOn(lan).find((packet) => packet.from[15] === 1)!.from, 96, 1200);
    const p = prefix('2001:db8:9::/48');
    if (prefixMetric !== undefined)
      writer.update({
        prefix: p.bytes,
        prefixLength: p.length,
        routerIdHigh: 9,
        routerIdLow: 9,
        seqno: 7,
        metric: prefixMetric,
        interval: 1600,
        nextHop4: undefined,
      });
    world.say(lan, from, writer.finish());
  };
  const selected = () =>
    node.speaker.view(world.now).find((row) => row.selected && row.interface !== undefined)?.nextHop;
  world.run(100);
  say('fe80::8', 1, 400);
  world.run(1500); // found long ago
  const waits: boolean[] = [];
  for (let round = 0; round < 5; round++) {
    say('fe80::8', round + 2, 400);
    say('fe80::9', round * 1000, 0); // its numbering jumps: it has restarted
    world.run(500);
    waits.push(selected()?.[15] !== 9);
    world.run(5600);
  }
  t.deepEqual(waits, [false, false, false, true, true]);
});
