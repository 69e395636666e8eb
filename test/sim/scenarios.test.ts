import test from 'ava';
import { scenarios } from './scenarios.js';

const seeds = [1, 2, 3];
/** Storms are by turns without hysteresis and with it: two of each. */
const more: Readonly<Record<string, readonly number[]>> = { '14 nodes weather 4 minutes of storm': [4] };

for (const name of Object.keys(more)) {
  if (!scenarios.some((scenario) => scenario.name === name)) throw new Error(`no scenario is called ${name}`);
}
for (const scenario of scenarios) {
  test(scenario.name, (t) => {
    for (const seed of [...seeds, ...(more[scenario.name] ?? [])]) t.notThrows(() => scenario.run(seed));
  });
}
