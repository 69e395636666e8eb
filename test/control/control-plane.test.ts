import test from 'ava';
import { formatIp } from '../../src/addr/ip.js';
import { revoke } from '../../src/mesh/commands.js';
import { sparseLimits } from '../../src/mesh/topology.js';
import { type Millis, second } from '../../src/time.js';
import { type Machine, World } from './world.js';

function pairs(machines: readonly Machine[]): [Machine, Machine][] {
  return machines.flatMap((a) => machines.filter((b) => b !== a).map((b): [Machine, Machine] => [a, b]));
}

/** Every node sends every other its name, and each is heard. */
function everyoneHearsEveryone(world: World, machines: readonly Machine[]): boolean {
  for (const machine of machines) machine.packets.length = 0;
  for (const [a, b] of pairs(machines)) a.send(b, a.name);
  world.run(second);
  return pairs(machines).every(([a, b]) => b.heard.includes(a.name));
}

/** How long until a datagram of each reaches each, tried every 100 ms. */
function untilEveryoneHears(world: World, machines: readonly Machine[]): Millis {
  const started = world.now;
  for (const machine of machines) machine.packets.length = 0;
  const missing = () => pairs(machines).filter(([a, b]) => !b.heard.includes(a.name));
  while (missing().length > 0) {
    if (world.now - started > 20 * second) throw new Error(`unheard: ${missing().map(String).join(', ')}`);
    for (const [a, b] of missing()) a.send(b, a.name);
    world.run(100);
  }
  return world.now - started;
}

test('five nodes join, have a tunnel each to each, and hear one another', (t) => {
  const world = new World(1);
  const machines = world.network(5);
  const took = world.until(() => pairs(machines).every(([a, b]) => a.hasTunnelTo(b)), 10 * second);
  t.true(took < 5 * second, `all tunnels ${took} ms after the last join`);
  world.until(() => pairs(machines).every(([a, b]) => a.nextHopTo(b) === b.number), 10 * second);
  t.true(everyoneHearsEveryone(world, machines));
});

test('two that cannot speak directly are relayed, by another relay when the first one dies', (t) => {
  const world = new World(2);
  const machines = world.network(4);
  const [, , c, d] = machines as [Machine, Machine, Machine, Machine];
  world.until(() => pairs(machines).every(([a, b]) => a.hasTunnelTo(b)), 10 * second);
  world.separate(c, d);
  world.until(() => !c.hasTunnelTo(d) && !d.hasTunnelTo(c), 10 * second);
  t.true(everyoneHearsEveryone(world, machines));
  const first = c.nextHopTo(d);
  const relay = machines.find((machine) => machine.number === c.nextHopTo(d))!;
  t.true(relay !== c && relay !== d);
  relay.crash();
  c.send(d, 'keep the link busy');
  const took = world.until(() => {
    const hop = c.nextHopTo(d);
    return hop !== undefined && hop !== first;
  }, 5 * second);
  t.true(took < 2 * second, `another relay after ${took} ms`);
});

test('a revoked node is heard of everywhere at once, and its tunnels are closed', (t) => {
  const world = new World(3);
  const machines = world.network(5);
  const out = machines[4]!;
  const number = out.number;
  const rest = machines.slice(0, 4);
  world.until(() => pairs(machines).every(([a, b]) => a.hasTunnelTo(b)), 10 * second);
  const { effects } = revoke(machines[0]!.mesh, 'n5', world.now);
  machines[0]!.order(effects);
  const took = world.until(() => rest.every((machine) => !machine.control!.tunnels.tunnelTo(number)), 10 * second);
  t.true(took < second, `closed after ${took} ms`);
  world.run(10 * second);
  t.true(out.expelled);
  for (const machine of rest) t.is(machine.control!.forwarding.choices(number).length, 0);
  t.true(everyoneHearsEveryone(world, rest));
});

test('a node that crashed starts from its disk with every issuer dead, and is reached again', (t) => {
  const world = new World(4);
  const machines = world.network(4);
  const [issuer, a, b, c] = machines as [Machine, Machine, Machine, Machine];
  world.until(() => pairs(machines).every(([x, y]) => x.hasTunnelTo(y)), 10 * second);
  world.run(10 * second);
  issuer.crash();
  const before = b.overlayAddress;
  b.crash();
  world.run(5 * second);
  b.start();
  const took = untilEveryoneHears(world, [a, b, c]);
  t.true(took < 2 * second, `reached again after ${took} ms`);
  t.deepEqual(b.overlayAddress, before);
});

test('routing state that was lost makes no route unfeasible', (t) => {
  const world = new World(5);
  const machines = world.network(4);
  const [a, b, c, d] = machines as [Machine, Machine, Machine, Machine];
  world.until(() => pairs(machines).every(([x, y]) => x.hasTunnelTo(y)), 10 * second);
  world.run(60 * second);
  d.crash();
  d.disk.delete('routing');
  d.start();
  const took = untilEveryoneHears(world, [a, b, c, d]);
  t.true(took < 2 * second, `accepted after ${took} ms`);
});

test('the same seed gives the same run', (t) => {
  const told = (seed: number) => {
    const world = new World(seed);
    const machines = world.network(3);
    world.run(30 * second);
    return machines.map((machine) => machine.told.map(({ code, node, detail }) => `${code} ${node} ${detail}`));
  };
  t.deepEqual(told(6), told(6));
});

test('killed seconds after others joined, a node knows them when it starts: it need not be found', (t) => {
  const world = new World(9);
  const [first] = world.network(2);
  world.run(3 * second);
  const late = world.machine('late');
  late.join(first!.invite());
  world.until(() => first!.mesh.directory.size === 3, 10 * second);
  world.run(2.5 * second);
  const numbers = world.machines.map((machine) => machine.number);
  first!.crash();
  first!.start();
  t.deepEqual(
    numbers.map((number) => first!.mesh.directory.byNumber(number)?.node.number),
    numbers,
  );
});

test('who joins when the oldest members have no place left is let in by a younger one its token names', (t) => {
  const world = new World(1);
  world.topology = {
    fullMesh: 4,
    ownRandom: 2,
    ownNear: 1,
    maxTunnels: 7,
    guests: 1,
    leastTunnels: 3,
    enoughTunnels: 4,
  };
  const machines = world.network(12);
  const everybody = () => machines.every((a) => machines.every((b) => a === b || a.nextHopTo(b) !== undefined));
  t.notThrows(() => world.until(everybody, 20 * second));
});

test('whose places are taken introduces a newcomer as a guest, keeps every tunnel, and the newcomer gets in through another', (t) => {
  const world = new World(4);
  world.topology = sparseLimits(1);
  const machines = world.network(4);
  const [founder, a, b, c] = machines as [Machine, Machine, Machine, Machine];
  world.run(5 * second);
  t.true([a, b, c].every((machine) => founder.hasTunnelTo(machine)));
  const since = () => [...founder.control!.tunnels.all()].map((tunnel) => `${tunnel.node} ${tunnel.since}`);
  const before = since();
  const newcomer = world.machine('newcomer');
  newcomer.join(founder.invite());
  world.until(() => newcomer.control !== undefined, 10 * second);
  const all = [...machines, newcomer];
  world.until(
    () => all.every((machine) => machine === newcomer || newcomer.nextHopTo(machine) !== undefined),
    20 * second,
  );
  world.until(() => [a, b, c].some((machine) => machine.hasTunnelTo(newcomer)), 10 * second);
  world.until(() => !founder.hasTunnelTo(newcomer), 10 * second);
  t.deepEqual(since(), before, 'the same tunnels as before');
  untilEveryoneHears(world, all);
  world.run(60 * second);
  for (const machine of all) t.true(machine.control!.tunnels.count <= 3);
});

test('a busy flow through a relay gets a tunnel of its own, nothing of it is lost, and an idle one gets none', (t) => {
  const world = new World(11);
  world.topology = sparseLimits(1);
  const [relay, a, b, c] = world.network(4) as [Machine, Machine, Machine, Machine];
  world.until(() => [a, b, c].every((one) => a === one || a.nextHopTo(one) !== undefined), 20 * second);
  world.run(5 * second);
  t.is(a.nextHopTo(b), relay.number);
  t.is(a.nextHopTo(c), relay.number);
  let sent = 0;
  // 4 Mbit/s to one, a packet a second to the other.
  const stream = (seconds: number) => {
    for (let i = 0; i < 500 * seconds; i++) {
      a.send(b, `${sent++} ${'x'.repeat(990)}`);
      if (i % 500 === 0) a.send(c, 'now and then');
      world.run(2);
    }
  };
  b.packets.length = 0;
  for (let seconds = 0; seconds < 30 && !a.hasTunnelTo(b); seconds++) stream(1);
  t.true(a.hasTunnelTo(b) && b.hasTunnelTo(a));
  for (let seconds = 0; seconds < 10 && a.nextHopTo(b) !== b.number; seconds++) stream(1);
  t.is(a.nextHopTo(b), b.number);
  stream(3);
  world.run(second);
  const heard = b.heard.map((text) => Number.parseInt(text, 10));
  t.is(heard.length, sent, 'none lost, none twice');
  t.is(new Set(heard).size, sent);
  t.false(a.hasTunnelTo(c));
});

test('what a member says of itself sends nothing to a LAN as a whole, into the overlay, or over IPv6 that is off', (t) => {
  const world = new World(5);
  const [one, liar, other] = world.network(3) as [Machine, Machine, Machine];
  world.until(() => one.hasTunnelTo(liar) && one.hasTunnelTo(other) && other.hasTunnelTo(liar), 10 * second);
  other.moves(['192.168.7.20'], 24);
  world.separate(liar, other);
  const inside = formatIp(one.overlayAddress);
  const forbidden = ['11.0.0.255', '11.0.0.0', '192.168.7.255', inside, '2001:db8::1'];
  liar.claims([...forbidden, '11.0.0.77'].map((address) => ({ address, port: 16696 })));
  world.run(30 * second);
  t.true(other.sentTo.has('11.0.0.77'), 'its record is followed');
  t.deepEqual(
    forbidden.filter((address) => other.sentTo.has(address)),
    [],
  );
});
