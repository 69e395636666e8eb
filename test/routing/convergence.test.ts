import test from 'ava';
import { Network } from './network.js';

test('two machines joined by a tunnel know each other within a few round trips', (t) => {
  const world = new Network(1);
  world.node(1);
  world.node(2);
  world.link(1, 2, { delay: 20 });
  const took = world.until(() => world.allReach(), 1000);
  t.truthy(took);
  t.true(took! < 250, `${took} ms`);
});

test('a line of five: everybody reaches everybody, by the line', (t) => {
  const world = new Network(2);
  for (let i = 1; i <= 5; i++) world.node(i);
  for (let i = 1; i < 5; i++) world.link(i, i + 1);
  t.truthy(world.until(() => world.allReach(), 2000));
  t.deepEqual(world.path(1, 5), [1, 2, 3, 4, 5]);
});
