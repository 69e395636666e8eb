import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Peer } from '../daemon/api.js';
import { reportRow } from '../scripts/verify-row.js';
import { second } from '../src/time.js';
import { host } from './description.js';
import type { Host } from './machines.js';
import { Narrator } from './narrator.js';
import { allPairsPing, network } from './network.js';
import type { WeftNode } from './node.js';
import { requireLab } from './requirements.js';
import { eachFallback, withFallbacks } from './scenarios/fallbacks.js';
import { flood, floodStanding, type Held } from './scenarios/flood.js';
import { stream } from './stream.js';
import { until } from './until.js';
import { processorTime, residentMegabytes } from './usage.js';
import { World } from './world.js';

/** `npm run verify`, the part of the plane: what needs a quiet machine and minutes. Words after the name choose. */

/** Twice what the heaps of three threads were seen to move by themselves. */
const mostGrowth = 3;

async function floods(): Promise<void> {
  for (const { name, ratio, perSecond, held } of await flood(new Narrator(console.error), 5, 3)) {
    reportRow({
      what: `throughput under 50,000 forged handshakes a second, of a closed port's: ${name}`,
      target: 'at least 0.80',
      measured: `${ratio.toFixed(2)} (${Math.round(perSecond)}/s were sent)`,
      ok: ratio >= 0.8 && perSecond > 47_500,
    });
    reportGrowth(`that flood: ${name}`, held, 'after the first, ', 'after each of four more');
  }
}

function reportGrowth(flood: string, { before, after }: Held, first: string, later: string): void {
  reportRow({
    what: `memory allocated under ${flood}`,
    target: `grows by at most ${mostGrowth} MB`,
    measured: `${before.toFixed(1)} MB ${first}${after.toFixed(1)} MB at most ${later}`,
    ok: after - before <= mostGrowth,
  });
}

/** Long enough for a renewal, and for the end of keys that were not renewed. */
async function floodedRenewal(): Promise<void> {
  const { ended, pings, answered, perSecond, held } = await floodStanding(250);
  reportRow({
    what: 'tunnels that end in 250 s of 50,000 forged handshakes a second, by who knows our key',
    target: 'none, and at least 95 % of pings answered',
    measured: `${ended} (${answered} of ${pings} pings answered, ${Math.round(perSecond)}/s were sent)`,
    ok: ended === 0 && answered >= 0.95 * pings && perSecond > 47_500,
  });
  reportGrowth('that flood of 250 s', held, 'at most in the second third, ', 'in the last');
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

/**
 * Memory of a node that has a session with each of a hundred others, after a minute of full load with one of them. That
 * one is a daemon too; the others are light members, many in a process: a hundred daemons do not fit on two cores.
 */
async function hundredPeers(): Promise<void> {
  const crowds = ['p0', 'p1', 'p2'];
  const each = 33;
  const crowd = () => host({ addresses: each });
  const world = await World.build({ b: host(), a: host(), p0: crowd(), p1: crowd(), p2: crowd() });
  try {
    const [b, a] = (await network(world, ['b', 'a'])) as [WeftNode, WeftNode];
    const joined = await Promise.all(
      crowds.map((name) => lightMembers(world.host(name), join(world.folder, name), () => b.invite())),
    );
    const addresses = [await a.address(), ...joined.flat()];
    const answer = async (address: string) =>
      until(
        `${address} answers`,
        () => b.pings(address),
        Boolean,
        90 * second,
        async () => `${states(await b.peers())}\n${b.tail()}`,
      );
    while (addresses.length > 0) await Promise.all(addresses.splice(0, 10).map(answer));
    const reached = async () =>
      (await b.peers()).filter(({ state }) => state === 'direct' || state === 'relayed').length;
    const before = await reached();
    await stream(a.host, b.host, await b.address(), { seconds: 30, parallel: 8 });
    await stream(b.host, a.host, await a.address(), { seconds: 30, parallel: 8 });
    const after = await reached();
    const { up } = (await b.status()).tunnels;
    const resident = residentMegabytes(b.pid!);
    reportRow({
      what: 'resident memory, 100 peers with a session each, after a minute of full load',
      target: 'at most 120 MB',
      measured: `${resident.toFixed(0)} MB (${before} peers before, ${after} after, ${up} by tunnels)`,
      ok: resident <= 120 && before === 100 && after === 100,
    });
  } finally {
    world.remove();
  }
}

/** How many peers are in each state, for an error. */
function states(peers: readonly Peer[]): string {
  const counts = new Map<string, number>();
  for (const { state, lastError } of peers) {
    const what = `${state} ${lastError ?? ''}`;
    counts.set(what, (counts.get(what) ?? 0) + 1);
  }
  return [...counts].map(([what, count]) => `${count} ${what}`).join('\n');
}

/** As many as the machine has addresses, each with a token of its own; their overlay addresses. */
async function lightMembers(on: Host, folder: string, invite: () => Promise<string>): Promise<string[]> {
  mkdirSync(folder);
  const script = join(import.meta.dirname, 'light-members-process.js');
  const child = on.namespace.spawn([process.execPath, script, folder], { stdin: 'pipe' });
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const said: string[] = [];
  child.stderr.on('data', (text) => console.error(`${on.name}: ${text}`));
  for (const [i, address] of on.addresses.entries()) {
    child.stdin!.write(`${on.name}-${i} ${await invite()} ${address}\n`);
    const { value = 'nothing' } = await lines.next();
    const overlay = String(value).split(' ')[1];
    if (!overlay?.includes(':')) throw new Error(`${on.name}: ${value}`);
    said.push(overlay);
  }
  return said;
}

/**
 * Processor time of a node with ten tunnels that carry nothing, from two minutes after the last of them came up: before
 * that tables fill, costs settle and code is compiled, which is the price of a start and not of rest.
 */
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
    await sleep(120 * second);
    const before = processorTime(b.pid!);
    await sleep(60 * second);
    const percent = (processorTime(b.pid!) - before) / ((60 * second) / 100);
    reportRow({
      what: 'processor, idle, 10 tunnels, mean of the third minute',
      target: 'at most 0.5 % of a core',
      measured: `${percent.toFixed(2)} %`,
      ok: percent <= 0.5,
    });
  } finally {
    world.remove();
  }
}

requireLab(['iperf3']);
// The fallbacks are last: npm test has them too, if time should run out.
const all = { tenIdle, hundredPeers, twoPeers, floods, floodedRenewal, fallbacks } as const;
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
