import test from 'ava';
import { controlScenarios } from './control-scenarios.js';

/** Seed 4 of the storm: a way that had been left was not looked at again once it might be. */
const seeds = [1, 4];

for (const scenario of controlScenarios) {
  test(scenario.name, (t) => {
    t.timeout(600_000);
    for (const seed of seeds) t.notThrows(() => scenario.run(seed));
  });
}
