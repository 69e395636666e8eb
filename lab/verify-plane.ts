import { setTimeout as sleep } from 'node:timers/promises';
import { reportRow } from '../scripts/verify-row.js';
import { host } from './description.js';
import { Narrator } from './narrator.js';
import { allPairsPing, network } from './network.js';
import { requireLab } from './requirements.js';
import { eachFallback, withFallbacks } from './scenarios/fallbacks.js';
import { flood } from './scenarios/flood.js';
import { stream } from './stream.js';
import { until } from './until.js';
import { processorTime, residentMegabytes } from './usage.js';
import { World } from './world.js';

/** `npm run verify`, the part of the plane: what needs a quiet machine and minutes. Words after the name choose. */
const second = 1000;

async function floods(): Promise<void> {
  for (const { name, ratio, perSecond } of await flood(new Narrator(console.error), 5, 3)) {
    reportRow({
      what: `throughput under 50,000 forged handshakes a second, of a closed port's: ${name}`,
      target: 'at least 0.80',
      measured: `${ratio.toFixed(2)} (${Math.round(perSecond)}/s were sent)`,
      ok: ratio >= 0.8 && perSecond > 47_500,
    });
  }
}

async function fallbacks(): Promise<void> {
  for (const turn of eachFallback) {
    const what = turn.workers === undefined ? turn.force.join(' ') : `${turn.workers} workers`;
    const failed = await withFallbacks([turn]).then(
      () => undefined,
      (error: Error) => `${error.cause ?? error.message}`,
    );
    const measured = failed ?? 'yes';
    reportRow({ what: `${what}: 20 MB byte for byte, shown in status`, target: 'yes', measured, ok: !failed });
  }
}

/** Memory of two peers after a minute of full load in both directions. */
async function twoPeers(): Promise<void> {
  const world = await World.build({ b: host(), a: host() });
  try {
    const nodes = await network(world, ['b', 'a']);
    await allPairsPing(nodes, 20 * second);
    const [b, a] = [nodes[0]!, nodes[1]!];
    await stream(a.host, b.host, await b.address(), { seconds: 30, parallel: 8 });
    await stream(b.host, a.host, await a.address(), { seconds: 30, parallel: 8 });
    const resident = Math.max(...nodes.map((node) => residentMegabytes(node.pid!)));
    reportRow({
      what: 'resident memory, 2 peers, after a minute of full load',
      target: 'at most 90 MB',
      measured: `${resident.toFixed(0)} MB`,
      ok: resident <= 90,
    });
  } finally {
    world.remove();
  }
}

/** Memory of a node that has a session with each of a hundred others, after a minute of full load with one of them. */
async function hundredPeers(): Promise<void> {
  const names = ['b', ...Array.from({ length: 100 }, (_, i) => `n${i}`)];
  const world = await World.build(Object.fromEntries(names.map((name) => [name, host()])));
  try {
    const nodes = names.map((name) => world.node(name));
    const b = nodes[0]!;
    await b.start();
    await b.init();
    // One after another: two cores start two daemons a second.
    for (const node of nodes.slice(1)) {
      await node.start({ within: 60 * second });
      await node.join(await b.invite());
    }
    for (const node of nodes.slice(1))
      await until(`${node.name} answers`, async () => b.pings(await node.address()), Boolean, 60 * second);
    const a = nodes[1]!;
    await stream(a.host, b.host, await b.address(), { seconds: 30, parallel: 8 });
    await stream(b.host, a.host, await a.address(), { seconds: 30, parallel: 8 });
    const reached = (await b.peers()).filter(({ state }) => state === 'direct' || state === 'relayed').length;
    const resident = residentMegabytes(b.pid!);
    reportRow({
      what: 'resident memory, 100 peers with a session each, after a minute of full load',
      target: 'at most 120 MB',
      measured: `${resident.toFixed(0)} MB (${reached} peers)`,
      ok: resident <= 120 && reached === 100,
    });
  } finally {
    world.remove();
  }
}

/** Processor time of a node with ten tunnels that carry nothing. */
async function tenIdle(): Promise<void> {
  const names = ['b', ...Array.from({ length: 10 }, (_, i) => `n${i}`)];
  const world = await World.build(Object.fromEntries(names.map((name) => [name, host()])));
  try {
    const nodes = await network(world, names);
    const b = nodes[0]!;
    await until(
      'ten tunnels',
      async () => (await b.status()).tunnels.up,
      (up) => up >= 10,
      60 * second,
      () => b.tail(),
    );
    await sleep(20 * second);
    const before = processorTime(b.pid!);
    await sleep(60 * second);
    const percent = (processorTime(b.pid!) - before) / ((60 * second) / 100);
    reportRow({
      what: 'processor, idle, 10 tunnels, mean of a minute',
      target: 'at most 0.5 % of a core',
      measured: `${percent.toFixed(2)} %`,
      ok: percent <= 0.5,
    });
  } finally {
    world.remove();
  }
}

requireLab(['iperf3']);
const all = { floods, fallbacks, twoPeers, tenIdle, hundredPeers } as const;
const chosen = process.argv.slice(2);
for (const [name, measure] of Object.entries(all)) {
  if (chosen.length > 0 && !chosen.includes(name)) continue;
  try {
    await measure();
  } catch (error) {
    // The others are measured all the same.
    const [measured = ''] = (error instanceof Error ? error.message : String(error)).split('\n');
    reportRow({ what: `${name}, to its end`, target: 'ends', measured, ok: false });
  }
}
