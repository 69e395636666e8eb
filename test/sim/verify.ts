import { execFileSync } from 'node:child_process';
import { reportRow } from '../../scripts/verify-row.js';
import { controlScenarios, longControlScenarios } from './control-scenarios.js';
import { type Measurement, measure } from './measure.js';
import { seenByMembers, unnoticedByMembers } from './members-mutants.js';
import { progressOf } from './progress.js';
import type { Scenario } from './scenario.js';
import { longScenarios, scenarios } from './scenarios.js';

/**
 * The simulator's part of `npm run verify`: the figures at 1,000 nodes and of the codec, then the long scenarios, and
 * the short ones with as many seeds as there is time for. On a core of its own it is done within 16 minutes; 20 are its
 * limit.
 */
const seconds = () => performance.now() / 1000;
/** No further seed is begun after so long. */
const untilSeconds = 900;

const row = (what: string, target: string, measured: string, ok: boolean) => reportRow({ what, target, measured, ok });

try {
  const progress = progressOf('1,000 nodes');
  reportFigures(measure({ nodes: 1000, seed: 1, own: 10, announcing: 1000, watchOneIn: 10, progress }));
} catch (cause) {
  const { message } = cause as Error;
  console.log(message);
  row('1,000 nodes', 'every invariant', message.split('\n')[0]!, false);
}

function reportFigures(figures: Measurement): void {
  row(
    '1,000 nodes: cold start to full reachability',
    'below 10 simulated s',
    `${figures.coldStartSeconds} s`,
    figures.coldStartSeconds < 10,
  );
  row(
    '1,000 nodes: control traffic at rest, with UDP, IP and tunnel',
    'below 20 kbit/s a node',
    `${(figures.restWireBitsPerSecond / 1000).toFixed(2)} kbit/s`,
    figures.restWireBitsPerSecond < 20_000,
  );
  row(
    '1,000 nodes: one lost, all routes right after',
    'below 2 s',
    `${figures.lostNodeSeconds} s`,
    figures.lostNodeSeconds < 2,
  );
  row(
    '1,000 nodes: the run, on one core',
    'below 180 s',
    `${figures.cpuSeconds.toFixed(0)} s`,
    figures.cpuSeconds < 180,
  );
  row(
    '1,000 nodes: memory at its peak',
    'below 2048 MB',
    `${figures.peakMegabytes.toFixed(0)} MB; ${figures.residentMegabytes.toFixed(0)} MB held at the end`,
    figures.peakMegabytes < 2048,
  );
  row(
    '1,000 nodes: one prefix in ten: no loop, every next hop feasible, metrics grow, after every event',
    'all',
    `all of ${figures.checks}`, // the first that does not hold ends the run
    figures.checks > 0,
  );
  row(
    '1,000 nodes: pairs without a route, with a ghost or a loop',
    '0',
    String(figures.rest.starved + figures.rest.ghosts + figures.rest.loops),
    figures.rest.starved + figures.rest.ghosts + figures.rest.loops === 0,
  );
  row(
    '1,000 nodes: ways that cost more than Dijkstra’s and what hysteresis keeps, metrics believed and not so',
    '0',
    `${figures.rest.beyond}, ${figures.rest.untrue} of ${figures.rest.pairs} pairs; ${figures.rest.longer} longer within it`,
    figures.rest.beyond + figures.rest.untrue === 0,
  );
}

const codec = JSON.parse(execFileSync(process.execPath, ['dist/bench/babel-codec.js'], { encoding: 'utf8' })) as {
  readonly updatesDecodedPerSecond: number;
};
row(
  'Babel updates decoded a second, on one core',
  'at least 2 million',
  String(codec.updatesDecodedPerSecond),
  codec.updatesDecodedPerSecond >= 2e6,
);

const unnoticed = await unnoticedByMembers(progressOf('mistakes made on purpose, in whole members'));
for (const failure of unnoticed) console.log(failure);
row(
  'mistakes made on purpose that whole members notice',
  `${seenByMembers.length} of ${seenByMembers.length}`,
  String(seenByMembers.length - unnoticed.length),
  unnoticed.length === 0,
);

/** How a scenario fared with the seeds it was given. */
class Tally {
  readonly scenario: Scenario;
  readonly failures: string[] = [];
  seeds = 0;

  constructor(scenario: Scenario) {
    this.scenario = scenario;
  }

  run(): void {
    this.seeds++;
    try {
      this.scenario.run(this.seeds);
    } catch (cause) {
      this.failures.push(`seed ${this.seeds}: ${(cause as Error).message}`);
    }
  }

  report(): void {
    const { scenario, failures, seeds } = this;
    if (failures.length > 0) console.log(failures[0]);
    row(scenario.name, 'every seed', `${seeds - failures.length} of ${seeds} held`, failures.length === 0);
  }
}

// One seed each, the long ones too; then seed after seed of all that are short, until the time is up.
const short = [...scenarios, ...controlScenarios].map((scenario) => new Tally(scenario));
const long = [...longScenarios, ...longControlScenarios].map((scenario) => new Tally(scenario));
const show = progressOf('scenarios');
for (const tally of [...short, ...long]) {
  show(`${tally.scenario.name}, first seed; ${seconds().toFixed(0)} s`);
  tally.run();
  if (long.includes(tally)) tally.report();
}
const most = 100;
for (let seed = 2; seed <= most; seed++) {
  for (const tally of short) {
    if (seconds() >= untilSeconds) break;
    show(`${tally.scenario.name}, seed ${seed}; ${seconds().toFixed(0)} s`);
    tally.run();
  }
}
for (const tally of short) tally.report();
