import test from 'ava';
import { type Millis, minute, second } from '../../src/time.js';
import { FrameType } from '../../src/tunnel/frame.js';
import type { MappingProtocol } from '../../src/upnp/contract.js';
import { HomeRouter } from './home-router.js';
import { type Machine, World } from './world.js';

/** Its mapping is where its own traffic leaves, and was shown to be forwarded. */
const isProven = ({ control }: Machine) =>
  control!.mapping!.status().state === 'mapped' &&
  control!.reachability.endpoints().some(({ source, proven }) => proven && (source === 'upnp' || source === 'nat-pmp'));

/**
 * Starts the node behind a router that maps ports and has never heard of it. A peer makes six dial-backs a minute for
 * anybody, hence the wait.
 */
function startBehind(protocol: MappingProtocol, world: World, home: Machine): HomeRouter {
  home.crash();
  home.router = new HomeRouter(protocol);
  world.run(minute);
  home.start();
  return home.router;
}

for (const protocol of ['upnp', 'nat-pmp'] as const) {
  const world = new World(4);
  const home = world.network(4)[3]!;
  world.run(10 * second);
  const again = (name: string, happens: () => void, within: Millis = 3 * second) =>
    test.serial(`${protocol}: a mapping where our own traffic leaves is proven again within seconds: ${name}`, (t) => {
      const router = startBehind(protocol, world, home);
      happens();
      const took = world.until(() => isProven(home), within);
      t.log(`${took} ms`);
      world.run(2 * second);
      t.true(isProven(home), 'and stays so');
      t.deepEqual([...router.forwards], [16696], 'no trial is left behind');
      t.deepEqual([...router.forwardsTcp], [16696], 'the same port over TCP, and no trial');
    });

  again('from its start', () => {});
  again('another address of the machine', () => {
    world.until(() => isProven(home), 10 * second);
    world.run(2 * minute);
    home.moves(['10.0.0.5']);
    if (isProven(home)) throw new Error('it was proven of another place');
  });
  for (const after of [0, 40, 70, 90, 110, 130, 150, 200, 300]) {
    again(`a second address ${after} ms after the first`, () => {
      world.run(after);
      home.moves(['10.0.0.5']);
    });
  }
  for (const after of [40, 60, 80, 100, 120, 150]) {
    again(`a short sleep ${after} ms after the start, in the first trial`, () => {
      world.run(after);
      home.sleep(5 * second);
      world.run(5 * second);
    });
  }
}

test('a home that is stopped and started every 9 s is proven within a second each time, and who leaves asks for no dial-back', (t) => {
  const world = new World(5);
  const home = world.network(7)[6]!;
  let dials = 0;
  world.loses = (_, to, bytes) => {
    if (to === home && bytes[0] === FrameType.dialBack) dials++;
    return false;
  };
  world.run(10 * second);
  const router = startBehind('upnp', world, home);
  for (let start = 1; start <= 12; start++) {
    const took = world.until(() => isProven(home), minute);
    t.true(took < second, `start ${start}: ${took} ms`);
    const before = dials;
    home.stop();
    world.run(9 * second - took);
    t.deepEqual([...router.forwards, ...router.forwardsTcp], [], `start ${start}: all is given back`);
    t.is(dials, before, `start ${start}`);
    home.start();
  }
});

for (const protocol of ['upnp', 'nat-pmp'] as const) {
  for (const after of [40, 110, 5000]) {
    test(`${protocol}: one peer to prove is enough for a second address ${after} ms after the first`, (t) => {
      const world = new World(4);
      const home = world.network(2)[1]!;
      world.run(10 * second);
      startBehind(protocol, world, home);
      world.run(after);
      home.moves(['10.0.0.5']);
      const took = world.until(() => isProven(home), minute);
      t.log(`${took} ms`);
      t.true(took < 3 * second);
    });
  }
}

test('a router that refuses for an hour what it is asked again and again is an event once', (t) => {
  const world = new World(4);
  const home = world.network(4)[3]!;
  world.run(10 * second);
  startBehind('upnp', world, home).isOffline = true;
  world.run(60 * minute);
  const told = home.told.filter(({ code }) => code === 'port-mapping');
  t.is(home.control!.mapping!.status().state, 'refused');
  t.true(told.length >= 1 && told.length <= 3, told.map(({ detail }) => detail).join('; '));
});
