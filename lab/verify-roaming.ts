import { reportRow } from '../scripts/verify-row.js';
import { Narrator } from './narrator.js';
import { roaming } from './scenarios/roaming.js';

/** Roaming's part of `npm run verify`: every change of the network, by real daemons, against its second. */
const { joinToPing, readyToPing, ...changes } = await roaming(new Narrator((line) => console.error(line)));
const row = (what: string, took: number, limit: number) =>
  reportRow({ what, target: `below ${limit / 1000} s`, measured: `${Math.round(took)} ms`, ok: took < limit });
row('an address changed: traffic again', changes.renumbered, 1000);
row('suspended for 8 h on its own clock, 16 s on the others’: traffic again', changes.resumed, 1000);
row('line down for 5 s: traffic again', changes.lineBack, 1000);
row('from one device and line to another: traffic again', changes.anotherDevice, 1000);
row('another network and NAT: traffic again', changes.anotherNetwork, 1000);
row('weft join to the first ping', joinToPing, 3000);
row('killed and started: first ping after the daemon is ready', readyToPing, 1000);
