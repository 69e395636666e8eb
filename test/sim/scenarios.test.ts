import test from 'ava';
import { scenarios } from './scenarios.js';

const seeds = [1, 2, 3];

for (const scenario of scenarios) {
  test(scenario.name, (t) => {
    for (const seed of seeds) t.notThrows(() => scenario.run(seed));
  });
}
