import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { NodeIdentity } from '../../src/addr/identity.js';
import { toHex } from '../../src/bytes.js';
import { host } from '../description.js';
import { dropsBetween } from '../drops.js';
import type { FloodOptions } from '../flooder.js';
import { median } from '../median.js';
import { finished } from '../namespace.js';
import type { Narrator } from '../narrator.js';
import { allPairsPing, network, pairState } from '../network.js';
import type { WeftNode } from '../node.js';
import { stream } from '../stream.js';
import { allocatedMegabytes } from '../usage.js';
import { World } from '../world.js';

const flooder = new URL('../flooder.js', import.meta.url).pathname;
const closedPort = 9;
/** Of a file of the state folder: its first line and a sum (daemon/state.ts). */
const beforeBlob = 13 + 32;

export interface FloodResult {
  readonly name: string;
  /** Megabits a second through the tunnel, medians: under the flood to a closed port, and under the same to weft's. */
  readonly closed: number;
  readonly open: number;
  /** Median of the rounds' ratios. */
  readonly ratio: number;
  /** To each end that is flooded. */
  readonly perSecond: number;
  /** Of the flooded daemon, or of that of both that grew more. */
  readonly held: Held;
  /** Of all that are flooded. */
  readonly drops: Readonly<Record<string, number>>;
}

/** What a daemon has allocated, in megabytes: once a flood has passed or begun, so that all is compiled, and the most later. */
export interface Held {
  readonly before: number;
  readonly after: number;
}

interface FloodKind {
  readonly name: string;
  readonly known: boolean;
  readonly spoofed: boolean;
  readonly bothEnds?: true;
}

const kinds: readonly FloodKind[] = [
  { name: 'strangers, many sources', known: false, spoofed: true },
  { name: 'strangers, one source', known: false, spoofed: false },
  { name: 'who knows our key, many sources', known: true, spoofed: true },
  { name: 'who knows our key, one source', known: true, spoofed: false },
  { name: 'who knows the keys of both ends, many sources, both at once', known: true, spoofed: true, bothEnds: true },
];

/** As in hex; anybody who has a tunnel with it or its record knows it. */
function publicKeyOf(node: WeftNode): string {
  const identity = NodeIdentity.decode(readFileSync(join(node.state, 'identity.state')).subarray(beforeBlob))!;
  const { publicKey } = identity.agreement;
  return toHex(publicKey);
}

/** What became of a tunnel while a flood lasted. */
export interface StandingFlood {
  /** How often it ended, as either end says. */
  readonly ended: number;
  /** One a second through it. */
  readonly pings: number;
  readonly answered: number;
  readonly perSecond: number;
  /** The most in the second third of the flood, and the most in the last. */
  readonly held: Held;
}

/**
 * 50,000 forged initiations a second, with a good mac1 and from many sources, hit the port of b, while a tunnel stands between
 * it and a; at 180 s it ends unless both have renewed its keys.
 */
export async function floodStanding(seconds: number): Promise<StandingFlood> {
  const world = await World.build({ b: host(), a: host(), x: host() });
  try {
    const [b, a] = (await network(world, ['b', 'a'])) as [WeftNode, WeftNode];
    const publicKey = publicKeyOf(b);
    await allPairsPing([a, b], 20_000);
    await pairState(a, b, 'direct', 10_000);
    const address = await b.address();
    const options: FloodOptions = {
      to: b.host.address,
      port: 16696,
      from: '11.200.0.1',
      spoofed: true,
      publicKey,
      perSecond: 50_000,
      seconds,
    };
    const attacker = world.host('x').namespace;
    const over = finished(attacker.spawn([process.execPath, flooder, JSON.stringify(options)]));
    let isOver = false;
    over.finally(() => {
      isOver = true;
    });
    let [pings, answered] = [0, 0];
    const held: number[] = [];
    while (!isOver) {
      pings++;
      if (await a.pings(address)) answered++;
      held.push(allocatedMegabytes(b.pid!));
      await sleep(1000);
    }
    const { sent } = JSON.parse((await over).stdout) as { sent: number };
    const ended = [a, b].flatMap((node) => node.log()).filter((line) => line.includes('"kind":"tunnel-down"')).length;
    const third = Math.floor(held.length / 3);
    const most = { before: Math.max(...held.slice(third, 2 * third)), after: Math.max(...held.slice(2 * third)) };
    return { ended, pings, answered, perSecond: sent / seconds, held: most };
  } finally {
    world.remove();
  }
}

/**
 * Forged initiations at 50,000 a second hit the port of b, or those of b and of a, while a sends to b through their tunnel; beside
 * it, in turn, the same flood to a port where nobody listens: what it costs the machine anyway.
 */
export async function flood(tell: Narrator, rounds: number, seconds: number, only?: string): Promise<FloodResult[]> {
  const world = await World.build({ b: host(), a: host(), x: host() });
  try {
    const [b, a] = (await network(world, ['b', 'a'])) as [WeftNode, WeftNode];
    await allPairsPing([a, b], 20_000);
    const address = await b.address();
    const attacker = world.host('x');
    const under = async (kind: FloodKind, victims: readonly WeftNode[], port: number) => {
      const lasts = seconds + 1.5;
      const floods = victims.map((victim) => {
        const options: FloodOptions = {
          to: victim.host.address,
          port,
          from: kind.spoofed ? '11.200.0.1' : attacker.address,
          spoofed: kind.spoofed,
          perSecond: 50_000,
          seconds: lasts,
          ...(kind.known ? { publicKey: publicKeyOf(victim) } : {}),
        };
        return finished(attacker.namespace.spawn([process.execPath, flooder, JSON.stringify(options)]));
      });
      await sleep(800);
      const rate = await stream(a.host, b.host, address, { seconds });
      const sent = (await Promise.all(floods)).map(({ stdout }) => (JSON.parse(stdout) as { sent: number }).sent);
      return { rate, perSecond: Math.min(...sent) / lasts };
    };
    const results: FloodResult[] = [];
    for (const kind of kinds.filter(({ name }) => only === undefined || name === only)) {
      const victims = kind.bothEnds ? [b, a] : [b];
      const drops = async () =>
        (await Promise.all(victims.map((victim) => victim.status()))).map((status) => status.drops);
      const before = await drops();
      const held = victims.map((): number[] => []);
      const pairs: { closed: number; open: number; perSecond: number }[] = [];
      for (let round = 0; round < rounds; round++) {
        const closed = await under(kind, victims, closedPort);
        const open = await under(kind, victims, 16696);
        for (const [i, { pid }] of victims.entries()) held[i]!.push(allocatedMegabytes(pid!));
        pairs.push({ closed: closed.rate, open: open.rate, perSecond: Math.min(closed.perSecond, open.perSecond) });
      }
      const result: FloodResult = {
        name: kind.name,
        closed: median(pairs.map(({ closed }) => closed)),
        open: median(pairs.map(({ open }) => open)),
        ratio: median(pairs.map(({ closed, open }) => open / closed)),
        perSecond: median(pairs.map(({ perSecond }) => perSecond)),
        held: mostGrown(held),
        drops: dropsBetween(before, await drops()),
      };
      results.push(result);
      tell.good(
        `${kind.name}: ${result.open.toFixed(0)} Mbit/s, to a closed port ${result.closed.toFixed(0)}: ${result.ratio.toFixed(2)} at ${result.perSecond.toFixed(0)}/s; ${result.held.before.toFixed(1)} MB after the first, at most ${result.held.after.toFixed(1)} later; ${JSON.stringify(result.drops)}`,
      );
    }
    return results;
  } finally {
    world.remove();
  }
}

/** By daemon, what it held after each flood: of the one that grew most since the first. */
function mostGrown(held: readonly (readonly number[])[]): Held {
  const all = held.map(([before, ...later]) => ({ before: before!, after: Math.max(...later) }));
  return all.reduce((most, each) => (each.after - each.before > most.after - most.before ? each : most));
}
