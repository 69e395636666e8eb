import { Narrator } from './narrator.js';
import { requireLab } from './requirements.js';
import { journey } from './scenarios/journey.js';
import { allMeetings, isAsExpected, matrixTable, natMatrix } from './scenarios/nat-matrix.js';

interface Scenario {
  readonly does: string;
  /** Throws, or gives false, when something was not as promised. */
  run(tell: Narrator, words: readonly string[]): Promise<boolean>;
}

const scenarios: Readonly<Record<string, Scenario>> = {
  journey: {
    does: 'four machines found and join, ping, fetch 100 MB through a relay, and survive being killed one by one',
    async run(tell) {
      await journey(tell, { megabytes: 100 });
      return true;
    },
  },
  'nat-matrix': {
    does: 'every pair of places behind NATs meets; words after the name choose the pairs that contain them all',
    async run(tell, words) {
      const chosen = allMeetings().filter(({ a, b }) => words.every((word) => a === word || b === word));
      const results = await natMatrix(tell, chosen);
      console.log(`\n${matrixTable(results)}`);
      return results.length > 0 && results.every(isAsExpected);
    },
  },
};

const [name, ...words] = process.argv.slice(2);
const scenario = scenarios[name ?? ''];
if (!scenario) {
  console.log('npm run lab -- NAME\n');
  for (const [each, { does }] of Object.entries(scenarios)) console.log(`  ${each.padEnd(12)}  ${does}`);
  process.exit(name === undefined || name === 'list' ? 0 : 1);
}
requireLab();
const tell = new Narrator();
try {
  const asPromised = await scenario.run(tell, words);
  if (asPromised) tell.good(`${name} is as promised`);
  else tell.bad(`${name} is not as promised`);
  process.exit(asPromised ? 0 : 1);
} catch (error) {
  tell.bad(error instanceof Error ? error.message : String(error));
  process.exit(1);
}
