import test from 'ava';
import { type Millis, minute, second } from '../../src/time.js';
import { type Machine, World } from './world.js';

const hour = 3600 * second;

/** How long after it woke up a machine and another hear each other again. */
function backAfter(world: World, sleeper: Machine, other: Machine, time: Millis): Millis {
  sleeper.sleep(time);
  world.run(time);
  const heard = new Set<string>();
  return world.until(() => {
    for (const [from, to] of [
      [sleeper, other],
      [other, sleeper],
    ] as const) {
      from.send(to, from.name);
      if (to.packets.length > 0) heard.add(to.name);
      to.packets.length = 0;
    }
    world.run(10);
    return heard.size === 2;
  }, 20 * second);
}

for (const [words, time] of [
  ['4 s', 4 * second],
  ['a minute', 60 * second],
  ['3 minutes', 180 * second],
  ['8 h', 8 * hour],
] as const) {
  test(`29: suspend ${words}: traffic is back within half a second of waking up`, (t) => {
    const world = new World(2);
    const machines = world.network(3);
    const [, a, b] = machines as [Machine, Machine, Machine];
    world.until(() => machines.every((one) => machines.every((to) => one === to || one.hasTunnelTo(to))), 10 * second);
    world.run(30 * second);
    const took = backAfter(world, b, a, time);
    t.log(`${words}: ${Math.round(took)} ms`);
    t.true(took < 500, `${took} ms`);
    t.is(b.told.filter(({ code }) => code === 'woke-up').length, 1);
    // Nobody else lost anything by it, and all is as it was soon after.
    world.until(() => machines.every((one) => machines.every((to) => one === to || one.hasTunnelTo(to))), 5 * second);
  });
}

test('29: peers that died meanwhile do not hold up those that live', (t) => {
  const world = new World(3);
  const machines = world.network(5);
  const [a, b, c, d, e] = machines as [Machine, Machine, Machine, Machine, Machine];
  world.until(() => machines.every((one) => machines.every((to) => one === to || one.hasTunnelTo(to))), 10 * second);
  // The longest that anything here waits or remembers a try is half an hour: an hour among the dead is like seven.
  e.sleep(hour + 10 * minute);
  world.run(10 * minute);
  for (const dead of [b, c, d]) dead.crash();
  world.run(hour);
  const took = world.until(() => e.hasTunnelTo(a) && a.hasTunnelTo(e), 5 * second);
  t.true(took < 200, `${took} ms`);
});
