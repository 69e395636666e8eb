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
