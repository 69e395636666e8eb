import test from 'ava';
import { FrameFlag, FrameType } from '../../../src/tunnel/frame.js';
import { type Flight, type Node, World } from './world.js';

const halves = FrameFlag.firstHalf | FrameFlag.secondHalf;
const isSizeProbe = ({ bytes }: Flight) => bytes[0] === FrameType.probe && bytes.length > 100;
const isHalf = ({ bytes }: Flight) => bytes[0] === FrameType.packet && (bytes[1]! & halves) !== 0;

/** Sends full packets all the time. */
function load(world: World, from: Node, to: Node, duration: number): void {
  for (const end = world.now + duration; world.now < end; world.run(10)) from.send(to, 1300);
}

for (const roundTrip of [20, 900, 2000]) {
  test(`a size that is in use and passes is not given up, with a round trip of ${roundTrip} ms`, (t) => {
    const world = new World();
    const { a, b } = world.neighbours();
    world.delay = roundTrip / 2;
    load(world, a, b, 20_000);
    const [sent, told] = [world.captured.length, a.events.length];
    load(world, a, b, 20_000);
    const since = world.captured.slice(sent).filter(({ from }) => from === a.number);
    t.is(since.filter(isHalf).length, 0);
    const sizes = a.events.slice(told).flatMap((event) => (event.kind === 'measured' ? [event.mtu] : []));
    t.deepEqual(
      sizes.filter((size) => size !== 1472),
      [],
    );
    t.true(since.filter(isSizeProbe).length <= 7, `${since.filter(isSizeProbe).length} size probes in 20 s`);
  });
}

test('a search on a path of 900 ms waits for the answers before it asks again', (t) => {
  const world = new World();
  const { a, b } = world.neighbours();
  world.run(5000);
  world.delay = 450;
  b.endpoint = { address: '198.51.100.7', port: 4000 };
  world.captured.length = 0;
  load(world, b, a, 5000);
  const asked = world.captured.filter((flight) => flight.from === a.number && isSizeProbe(flight));
  const sizes = asked.map(({ bytes }) => bytes.length);
  t.true(sizes.includes(1472));
  t.deepEqual(
    sizes.filter((size, i) => size !== 1472 && sizes.indexOf(size) !== i),
    [],
  );
});

for (const workers of [1, 3]) {
  test(`who moves to a smaller path has its own full packets through at once, with ${workers} workers`, (t) => {
    const world = new World({ workers });
    const { a, b } = world.neighbours();
    world.delay = 10;
    load(world, a, b, 5000);
    world.run(25);
    b.received.length = 0;
    a.endpoint = { address: '198.51.100.7', port: 4000 };
    world.pathSize = 1372;
    const moved = world.now;
    while (!b.received.some((packet) => packet.length > 1300) && world.now < moved + 5000) load(world, a, b, 10);
    t.true(world.now - moved <= 250, `the first after ${world.now - moved} ms`);
    load(world, a, b, 2000);
    const told = a.events.findLast((event) => event.kind === 'measured');
    t.is(told?.kind === 'measured' && told.mtu, 1372);
  });
}

test('one move is one search, however often its challenge is repeated', (t) => {
  const world = new World();
  const { a, b } = world.neighbours();
  world.run(5000);
  world.delay = 450;
  a.endpoint = { address: '198.51.100.7', port: 4000 };
  world.captured.length = 0;
  for (const end = world.now + 5000; world.now < end; world.run(10)) a.send(b);
  const challenges = world.captured.filter(({ from, bytes }) => from === b.number && bytes.length === 48).length;
  t.true(challenges > 5, `${challenges}`);
  const asked = world.captured.filter(({ from, bytes }) => from === a.number && bytes.length === 1472).length;
  t.true(asked >= 1 && asked <= 2, `${asked}`);
});

test('who has a node challenged from one address after the other makes it measure anew 4 times in a second', (t) => {
  const world = new World();
  const { a, b } = world.neighbours();
  world.run(5000);
  world.captured.length = 0;
  for (const end = world.now + 1000; world.now < end; world.run(5)) {
    a.endpoint = { address: '203.0.113.9', port: a.endpoint.port + 1 };
    a.send(b);
    world.settle();
  }
  const searches = world.captured.filter(({ from, bytes }) => from === a.number && bytes.length === 1472).length;
  t.true(searches > 1 && searches <= 4, `${searches}`);
});

for (const [pathSize, found, most] of [
  [1472, 1472, 3],
  [1464, 1464, 4],
  [1440, 1432, 3],
  [1412, 1412, 2],
  [1392, 1392, 6],
  [1372, 1372, 5],
  [1240, 1232, 3],
  [1130, 1120, 2],
] as const) {
  test(`a search of a path of ${pathSize} octets puts few probes on its line`, (t) => {
    const world = new World();
    const { a, b } = world.neighbours();
    world.run(5000);
    world.delay = 10;
    world.pathSize = pathSize;
    let whole = 0;
    let passed = 0;
    world.wire = (flight) => {
      if (flight.from !== b.number) return true;
      if (isSizeProbe(flight)) passed++;
      else if (whole === 0 && flight.bytes.length === 1412) whole = world.now;
      return true;
    };
    a.endpoint = { address: '198.51.100.7', port: 4000 };
    const isMoved = ({ kind }: { readonly kind: string }) => kind === 'moved';
    for (const end = world.now + 1000; world.now < end && !b.events.some(isMoved); world.run(1)) a.send(b);
    const followed = world.now;
    for (const end = world.now + 1500; world.now < end; world.run(1)) b.send(a, 1332);
    const told = b.events.findLast((event) => event.kind === 'measured');
    t.is(told?.kind === 'measured' && told.mtu, found);
    t.true(passed <= most, `${passed} probes`);
    if (pathSize >= 1412) t.true(whole > followed && whole <= followed + 35, `${whole - followed} ms`);
  });
}
