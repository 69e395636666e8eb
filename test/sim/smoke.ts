import { scenarios } from './scenarios.js';

/** Runs the scenarios with a few seeds; prints the first failure and exits 1. Mutants of the speaker must not get past it. */
for (const seed of [1, 2]) {
  for (const scenario of scenarios) {
    try {
      scenario.run(seed);
    } catch (cause) {
      console.log(`${scenario.name}: ${String((cause as Error).message).split('\n')[0]}`);
      process.exit(1);
    }
  }
}
