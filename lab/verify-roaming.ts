import { reportRow } from '../scripts/verify-row.js';
import { second } from '../src/time.js';
import { Narrator } from './narrator.js';
import { portRewriting } from './scenarios/port-rewriting.js';
import { type RoamingResult, roaming } from './scenarios/roaming.js';

/**
 * Roaming's part of `npm run verify`: every change of the network, by real daemons, several times, against its second.
 */
const tell = new Narrator((line) => console.error(line));
const times = 3;

// It waits nearly all of its time, and so runs beside the others.
const rewriting = portRewriting(tell, 30 * second, 3);
rewriting.catch(() => {}); // told below
const runs: RoamingResult[] = [];
for (let i = 0; i < times; i++) runs.push(await roaming(tell));

const row = (what: string, values: readonly number[], limit: number) => {
  const all = values.map((took) => `${Math.round(took)}`).join(', ');
  const slowest = Math.max(...values);
  reportRow({
    what,
    target: `each below ${limit / second} s`,
    measured: `slowest of ${values.length}: ${Math.round(slowest)} ms (${all})`,
    ok: slowest < limit,
  });
};
const all = (of: (run: RoamingResult) => number) => runs.map(of);
row(
  'an address changed: traffic again',
  all((run) => run.renumbered),
  second,
);
row(
  'suspended for 8 h on its own clock, 16 s on the others’: traffic again',
  all((run) => run.resumed),
  second,
);
row(
  'line down for 5 s: traffic again',
  all((run) => run.lineBack),
  second,
);
row(
  'from one device and line to another: traffic again',
  all((run) => run.anotherDevice),
  second,
);
row(
  'another network and NAT: traffic again',
  all((run) => run.anotherNetwork),
  second,
);
row(
  'weft join to the first ping of every pair',
  all((run) => run.joinToPing),
  3 * second,
);
row(
  'killed and started: first ping after the daemon is ready',
  all((run) => run.readyToPing),
  second,
);
const { ports, gaps, stood, watched } = await rewriting;
row('a carrier gives a home another port every 30 s: silence around it', gaps, second);
reportRow({
  what: 'the same: ports, and one tunnel all the time',
  target: 'another port each time, never made anew',
  measured: `${ports.join(', ')}; it stands for ${stood} s of ${watched.toFixed(1)}`,
  ok: new Set(ports).size === ports.length && stood >= Math.floor(watched),
});
