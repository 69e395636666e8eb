import test from 'ava';
import { scenarios } from './scenarios.js';

const seeds = [1, 2, 3];
/** Seeds that once broke an invariant. */
const once: Readonly<Record<string, readonly number[]>> = { '14 nodes weather 4 minutes of storm': [21] };

for (const name of Object.keys(once)) {
  if (!scenarios.some((scenario) => scenario.name === name)) throw new Error(`no scenario is called ${name}`);
}
for (const scenario of scenarios) {
  test(scenario.name, (t) => {
    for (const seed of [...seeds, ...(once[scenario.name] ?? [])]) t.notThrows(() => scenario.run(seed));
  });
}
