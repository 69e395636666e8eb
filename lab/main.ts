import { Narrator } from './narrator.js';
import { requireLab } from './requirements.js';
import { failover } from './scenarios/failover.js';
import { flood } from './scenarios/flood.js';
import { journey } from './scenarios/journey.js';
import { mapping } from './scenarios/mapping.js';
import { allMeetings, classifyPlaces, isAsExpected, matrixTable, natMatrix } from './scenarios/nat-matrix.js';
import { roaming } from './scenarios/roaming.js';

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
    does: 'every pair of places behind NATs meets; words after the name choose the pairs that contain them all, a number how often, by turns with the one and the other joining',
    async run(tell, words) {
      const isNumber = (word: string) => /^\d+$/.test(word);
      const named = words.filter((word) => !isNumber(word));
      const chosen = allMeetings().filter(({ a, b }) => named.every((word) => a === word || b === word));
      const areWhatTheySay = await classifyPlaces(tell);
      const results = await natMatrix(tell, chosen, Number(words.find(isNumber) ?? 1));
      console.log(`\n${matrixTable(results)}`);
      return areWhatTheySay && results.length > 0 && results.every(isAsExpected);
    },
  },
  failover: {
    does: 'the relay in use falls silent, five times: how long nothing comes',
    async run(tell) {
      return (await failover(tell, 5)).every((outage) => outage < 1000);
    },
  },
  flood: {
    does: '50,000 forged handshakes a second: what is left of the throughput, beside the same flood to a closed port',
    async run(tell) {
      return (await flood(tell, 3, 3)).every(({ ratio }) => ratio >= 0.8);
    },
  },
  mapping: {
    does: 'homes behind real miniupnpd: mapped and proven after start and after a reboot of the router, removed on exit',
    async run(tell) {
      const results = [await mapping(tell, ['igd1']), await mapping(tell, ['igd2']), await mapping(tell, ['nat-pmp'])];
      return results.every(({ start, reboot, left }) => start < 3000 && reboot < 10_000 && left === 0);
    },
  },
  roaming: {
    does: 'addresses, lines and networks change under a flow, a machine sleeps; join to first ping; restart to first ping',
    async run(tell) {
      const { joinToPing, ...others } = await roaming(tell);
      return joinToPing < 3000 && Object.values(others).every((took) => took < 1000);
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
