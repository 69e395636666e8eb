import { execFileSync } from 'node:child_process';
import { reportRow } from '../../scripts/verify-row.js';
import { controlScenarios, longControlScenarios } from './control-scenarios.js';
import { measure } from './measure.js';
import { longScenarios, scenarios } from './scenarios.js';

/** The simulator's part of `npm run verify`: the figures at 1,000 nodes and of the codec, the long scenarios, and the short ones with many seeds. */
const figures = measure({ nodes: 1000, seed: 1, own: 10, announcing: 1000, watchOneIn: 10, progress: () => undefined });
const row = (what: string, target: string, measured: string, ok: boolean) => reportRow({ what, target, measured, ok });

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
row('1,000 nodes: the run, on one core', 'below 180 s', `${figures.cpuSeconds.toFixed(0)} s`, figures.cpuSeconds < 180);
row(
  '1,000 nodes: memory',
  'below 2048 MB',
  `${figures.residentMegabytes.toFixed(0)} MB`,
  figures.residentMegabytes < 2048,
);
row(
  '1,000 nodes: pairs without a route, with a ghost or a loop',
  '0',
  String(figures.rest.starved + figures.rest.ghosts + figures.rest.loops),
  figures.rest.starved + figures.rest.ghosts + figures.rest.loops === 0,
);

const codec = JSON.parse(execFileSync(process.execPath, ['dist/bench/babel-codec.js'], { encoding: 'utf8' })) as {
  readonly updatesDecodedPerSecond: number;
};
row(
  'Babel updates decoded a second, on one core',
  'at least 2 million',
  String(codec.updatesDecodedPerSecond),
  codec.updatesDecodedPerSecond >= 2e6,
);

for (const [list, seeds] of [
  [scenarios, 20],
  [longScenarios, 3],
  [controlScenarios, 5],
  [longControlScenarios, 1],
] as const) {
  for (const scenario of list) {
    const failures: string[] = [];
    for (let seed = 1; seed <= seeds; seed++) {
      try {
        scenario.run(seed);
      } catch (cause) {
        failures.push(String((cause as Error).message));
      }
    }
    if (failures.length > 0) console.log(failures[0]);
    row(scenario.name, `${seeds} seeds`, `${seeds - failures.length} held`, failures.length === 0);
  }
}
