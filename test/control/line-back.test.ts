import test from 'ava';
import { type Millis, minute, second } from '../../src/time.js';
import { type Machine, World } from './world.js';

/** Nothing passes between the first node and the others for so long, and nobody is told when it does again. */
function cutOff(
  seed: number,
  count: number,
  away: Millis,
  meanwhile: (all: readonly Machine[]) => void = () => {},
): { world: World; one: Machine; others: Machine[] } {
  const world = new World(seed);
  const all = world.network(count);
  const [one, ...others] = all as [Machine, ...Machine[]];
  world.until(() => all.every((from) => all.every((to) => from === to || from.hasTunnelTo(to))), 30 * second);
  for (const other of others) world.separate(one, other);
  world.run(away / 2);
  meanwhile(all);
  world.run(away / 2);
  for (const other of others) world.separate(one, other, false);
  return { world, one, others };
}

/** Milliseconds until the first packet arrives, of one every 20. */
function untilHeard(world: World, from: Machine, to: Machine, limit: Millis): Millis {
  const back = world.now;
  const { length } = to.heard;
  while (to.heard.length === length) {
    if (world.now - back > limit) return Number.POSITIVE_INFINITY;
    from.send(to, 'are you there');
    world.run(20);
  }
  return world.now - back;
}

for (const away of [15 * second, 3 * minute, 45 * minute]) {
  test(`a line that was dead for ${away / second} s: packets pass within 5 s of its return, though nobody tells of it`, (t) => {
    const took = [1, 2, 3, 4].map((seed) => {
      const { world, one, others } = cutOff(seed, 2, away);
      return untilHeard(world, others[0]!, one, 30 * second);
    });
    t.log(took.join(' '));
    t.true(Math.max(...took) < 5 * second, `${took.join(' ')} ms`);
  });
}

test('two that were restarted while the line between them was dead: packets pass within 5 s of its return', (t) => {
  const took = [1, 2].map((seed) => {
    const { world, one, others } = cutOff(seed, 2, 45 * minute, (all) => {
      for (const machine of all) {
        machine.crash();
        machine.start();
      }
    });
    return untilHeard(world, others[0]!, one, 15 * minute);
  });
  t.log(took.join(' '));
  t.true(Math.max(...took) < 5 * second, `${took.join(' ')} ms`);
});

test('two that have each other behind a line that was dead for 45 min: packets pass within 15 s of its return', (t) => {
  const took = [1, 2, 3, 4].map((seed) => {
    const { world, one, others } = cutOff(seed, 3, 45 * minute);
    t.true(others[0]!.hasTunnelTo(others[1]!));
    return untilHeard(world, others[0]!, one, 60 * second);
  });
  t.log(took.join(' '));
  t.true(Math.max(...took) < 15 * second, `${took.join(' ')} ms`);
});

test('one that is switched off costs the others fewer datagrams, the longer it is away', (t) => {
  const world = new World(7);
  const all = world.network(3) as [Machine, Machine, Machine];
  const [one, other, off] = all;
  world.until(() => all.every((from) => all.every((to) => from === to || from.hasTunnelTo(to))), 30 * second);
  off.crash();
  const { address } = off;
  world.run(minute);
  t.true(one.hasTunnelTo(other));
  const sent = () => one.sentTo.get(address)!;
  const inTime = (time: Millis) => {
    const before = sent();
    world.run(time);
    return sent() - before;
  };
  const first = inTime(60 * minute);
  inTime(3 * 60 * minute);
  const later = inTime(60 * minute);
  t.log(`${first} datagrams in the first hour, ${later} in the fifth`);
  // A dial is ten datagrams in 15 s; with a pause of 10 s there would be 1440 in each hour.
  t.true(first < 900, `${first}`);
  t.true(later > 0 && later < 100, `${later}`);
});
