import { scenarios } from './scenarios.js';

/**
 * Runs the scenarios with a few seeds, first those whose names contain the argument; prints the first failure and exits 1.
 * Mutants of the speaker must not get past it.
 */
const first = process.argv[2];
const isFirst = (name: string) => first !== undefined && name.includes(first);
const inOrder = [...scenarios.filter(({ name }) => isFirst(name)), ...scenarios.filter(({ name }) => !isFirst(name))];
if (first !== undefined && !isFirst(inOrder[0]!.name)) throw new Error(`no scenario is named ${first}`);

for (const seed of [1, 2]) {
  for (const scenario of inOrder) {
    try {
      scenario.run(seed);
    } catch (cause) {
      console.log(`${scenario.name}: ${String((cause as Error).message).split('\n')[0]}`);
      process.exit(1);
    }
  }
}
