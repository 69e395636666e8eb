import test from 'ava';
import { type Millis, second } from '../../src/time.js';
import { type Machine, World } from './world.js';

/** Two nodes with an idle tunnel; the second has another address, by which nothing passes for so long. */
function moved(seed: number, carriesAfter: Millis): { world: World; stays: Machine; roams: Machine } {
  const world = new World(seed);
  const [stays, roams] = world.network(2) as [Machine, Machine];
  world.until(() => stays.hasTunnelTo(roams) && roams.hasTunnelTo(stays), 10 * second);
  world.run(30 * second);
  world.separate(stays, roams);
  world.readdress(roams, '11.0.9.9');
  world.run(carriesAfter);
  world.separate(stays, roams, false);
  return { world, stays, roams };
}

for (const carriesAfter of [0, 300, 900, 1400, 2000]) {
  test(`a new address that carries after ${carriesAfter} ms: half a second later an idle tunnel leads there`, (t) => {
    for (let seed = 1; seed <= 5; seed++) {
      const { world, stays, roams } = moved(seed, carriesAfter);
      world.run(550);
      stays.send(roams, 'are you there');
      world.run(50);
      t.deepEqual(roams.heard, ['are you there'], `seed ${seed}`);
    }
  });
}
