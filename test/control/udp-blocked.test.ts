import test from 'ava';
import { formatIp } from '../../src/addr/ip.js';
import { minute, second } from '../../src/time.js';
import { type Machine, World } from './world.js';

/** A data centre, and two machines of one office, whose router forwards no UDP and lets no stream in; they are members already. */
function office(network = '192.168.5'): { world: World; dc: Machine; desk: Machine; shelf: Machine } {
  const world = new World(5);
  world.tcp = true;
  const [dc, desk, shelf] = [
    world.machine('dc'),
    world.machine('desk', `${network}.2`),
    world.machine('shelf', `${network}.3`),
  ];
  dc.found();
  for (const machine of [desk, shelf]) {
    machine.join(dc.invite());
    world.until(() => machine.control !== undefined, 10 * second);
  }
  for (const machine of [desk, shelf]) {
    machine.takesTcp = false;
    world.separate(dc, machine);
    world.separate(desk, shelf);
    machine.crash();
    machine.start();
  }
  world.until(() => desk.isOverTcp(dc) && shelf.isOverTcp(dc), 30 * second);
  world.run(5 * second);
  return { world, dc, desk, shelf };
}

for (const [name, network] of [
  ['private addresses', '192.168.5'],
  ['public addresses', '198.51.100'],
] as const) {
  test(`a neighbour found on a LAN of ${name} does not end the tunnels over TCP to the outside`, (t) => {
    const { world, dc, desk, shelf } = office(network);
    world.separate(desk, shelf, false);
    desk.findOnLan(shelf);
    world.until(() => !shelf.isOverTcp(desk) && !desk.isOverTcp(shelf), 2 * second);
    for (let at = 0; at < 60; at++) {
      world.run(second);
      t.true(desk.isOverTcp(dc) && shelf.isOverTcp(dc), `${at} s later`);
      t.false(desk.isOverTcp(shelf) || shelf.isOverTcp(desk), 'between themselves they stay with UDP');
    }
  });

  test(`two that met on their LAN of ${name} first still go over TCP to the outside`, (t) => {
    const { world, dc, desk, shelf } = office(network);
    world.tcp = false;
    world.separate(desk, shelf, false);
    for (const machine of [desk, shelf]) machine.crash();
    world.run(minute);
    for (const machine of [desk, shelf]) machine.start();
    desk.findOnLan(shelf);
    world.until(() => desk.hasTunnelTo(shelf), 10 * second);
    world.tcp = true;
    for (const machine of [desk, shelf]) world.until(() => machine.isOverTcp(dc), 30 * second);
    t.true(desk.hasTunnelTo(shelf) && !desk.isOverTcp(shelf));
  });
}

test('a stream between two that have nobody else is kept beyond the life of its keys', (t) => {
  const world = new World(9);
  world.tcp = true;
  const [dc, desk] = world.network(2) as [Machine, Machine];
  world.separate(dc, desk);
  world.until(() => desk.isOverTcp(dc) && dc.isOverTcp(desk), minute);
  const told = [desk, dc].map((machine) => machine.told.length);
  world.run(10 * minute);
  const downs = [desk, dc].flatMap((machine, i) =>
    machine.told.slice(told[i]).filter(({ code }) => code === 'tunnel-down'),
  );
  t.deepEqual(downs, []);
  t.true(desk.isOverTcp(dc) && dc.isOverTcp(desk));
});

test('a stream that was opened to us stays when a tunnel over UDP comes up', (t) => {
  const { world, dc, desk, shelf } = office();
  const other = world.machine('other');
  const [up, down] = [new Set<string>(), new Set<string>()];
  for (const machine of [desk, shelf]) world.separate(other, machine);
  other.join(dc.invite());
  const told = dc.told.length;
  world.until(() => other.control !== undefined && dc.hasTunnelTo(other), 10 * second);
  world.run(30 * second);
  for (const { code, detail } of dc.told.slice(told)) {
    if (code === 'tunnel-up') up.add(detail);
    if (code === 'tunnel-down') down.add(detail);
  }
  t.true(up.size > 0);
  t.deepEqual([...down], []);
  t.true(desk.isOverTcp(dc) && shelf.isOverTcp(dc));
});

test('when UDP gets out again, streams are left', (t) => {
  const { world, dc, desk, shelf } = office();
  for (const machine of [desk, shelf]) world.separate(dc, machine, false);
  for (const machine of [desk, shelf]) {
    world.until(() => machine.hasTunnelTo(dc) && !machine.isOverTcp(dc), 30 * second);
    world.until(() => dc.hasTunnelTo(machine) && !dc.isOverTcp(machine), 5 * second);
  }
  t.pass();
});

test('once UDP gets out to one, the streams to others move without a break; one that UDP does not reach and others do is closed', (t) => {
  const world = new World(8);
  world.tcp = true;
  const [dc, far, blocked] = [world.machine('dc'), world.machine('far'), world.machine('blocked')];
  const desk = world.machine('desk', '192.168.5.2');
  world.wire(dc, blocked, { delay: 1 });
  dc.found();
  for (const machine of [far, blocked, desk]) {
    machine.join(dc.invite());
    world.until(() => machine.control !== undefined, 10 * second);
  }
  const outside = [dc, far, blocked];
  for (const machine of outside) world.separate(desk, machine);
  desk.crash();
  desk.start();
  for (const machine of outside) world.until(() => desk.isOverTcp(machine), minute);
  world.run(5 * second);
  for (const machine of [dc, far]) world.separate(desk, machine, false);
  const told = desk.told.length;
  for (const machine of [dc, far]) {
    world.until(() => desk.hasTunnelTo(machine) && !desk.isOverTcp(machine), 40 * second);
    world.until(() => machine.hasTunnelTo(desk) && !machine.isOverTcp(desk), 5 * second);
  }
  const downs = () => desk.told.slice(told).filter(({ code }) => code === 'tunnel-down');
  t.deepEqual(downs(), []);
  t.true(desk.isOverTcp(blocked), 'it carries what it carries until UDP was tried for long enough');
  world.until(() => !desk.isOverTcp(blocked), 20 * second);
  t.deepEqual(
    downs().map(({ detail }) => detail),
    ['UDP works now'],
  );
});

test('a node that no route leads to is called over TCP as soon as there is news of it', (t) => {
  const world = new World(10);
  world.tcp = true;
  const [dc, desk, far] = [world.machine('dc'), world.machine('desk'), world.machine('far')];
  dc.relay = { mode: 'no', limitBitsPerSecond: 0, octetsPerMonth: 0 };
  dc.found();
  for (const machine of [desk, far]) {
    machine.join(dc.invite());
    world.until(() => machine.control !== undefined && machine.hasTunnelTo(dc), 10 * second);
  }
  world.until(() => desk.hasTunnelTo(far), 2 * minute);
  world.separate(desk, far);
  desk.takesTcp = false;
  far.crash();
  world.run(40 * minute);
  const called = desk.bridges.length;
  far.start();
  world.until(() => dc.hasTunnelTo(far), 10 * second);
  far.announceTls({ address: far.address, port: 443 });
  const took = world.until(() => desk.isOverTcp(far), 30 * second);
  t.log(`${called} calls while it was off, then after ${Math.round(took)} ms`);
  t.true(desk.hasTunnelTo(dc) && !desk.isOverTcp(dc));
});

for (const [name, address] of [
  ['IPv6 that is off', '2001:db8::7'],
  ['a LAN that is not ours', '10.9.9.9'],
] as const) {
  test(`a member is called over TLS although its other endpoints are all of ${name}`, (t) => {
    const world = new World(7);
    world.tcp = true;
    const [dc, desk] = [world.machine('dc'), world.machine('desk')];
    dc.found();
    desk.join(dc.invite());
    world.until(() => desk.control !== undefined && desk.hasTunnelTo(dc), 10 * second);
    world.run(minute);
    dc.announceTls({ address: dc.address, port: 443 });
    dc.claims([{ address, port: 16696 }]);
    world.run(10 * second);
    const told = desk.mesh.directory.byNumber(dc.number)!;
    t.deepEqual(
      [told.endpoints, told.tls].map((list) => list.map((one) => one.address)),
      [[address], [dc.address]],
    );
    world.separate(dc, desk);
    desk.crash();
    desk.disk.delete('neighbours');
    desk.start();
    world.until(() => desk.isOverTcp(dc), 30 * second);
    t.deepEqual(
      desk.bridges.flatMap(({ streams }) => streams.map(({ kind }) => kind)),
      ['tls'],
    );
  });
}

test('streams go nowhere that datagrams would not: not into the overlay, other LANs, or a family that is off', (t) => {
  const world = new World(6);
  world.tcp = false;
  const [dc, liar] = [world.machine('dc'), world.machine('liar')];
  dc.found();
  liar.join(dc.invite());
  world.until(() => liar.control !== undefined && liar.hasTunnelTo(dc), 10 * second);
  const bad = ['10.9.9.9', '2001:db8::9', formatIp(dc.overlayAddress)];
  const good = '192.0.2.7';
  for (const address of [...bad, good]) {
    liar.announceTls({ address, port: 443 });
    world.run(5 * second);
    world.separate(dc, liar);
    world.run(minute);
    world.separate(dc, liar, false);
    world.until(() => dc.hasTunnelTo(liar) && liar.hasTunnelTo(dc), 5 * minute);
  }
  const dialled = dc.bridges.flatMap(({ streams }) => streams.map(({ endpoint }) => endpoint.address));
  t.true(dialled.includes(good));
  for (const address of bad) t.false(dialled.includes(address), address);
});
