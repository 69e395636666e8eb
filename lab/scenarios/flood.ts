import { setTimeout as sleep } from 'node:timers/promises';
import { decodeInvitation } from '../../src/addr/invitation.js';
import { toHex } from '../../src/bytes.js';
import { host } from '../description.js';
import type { FloodOptions } from '../flooder.js';
import { median } from '../median.js';
import { finished } from '../namespace.js';
import type { Narrator } from '../narrator.js';
import { allPairsPing, network, pairState } from '../network.js';
import type { WeftNode } from '../node.js';
import { stream } from '../stream.js';
import { residentMegabytes } from '../usage.js';
import { World } from '../world.js';

const flooder = new URL('../flooder.js', import.meta.url).pathname;
const closedPort = 9;

export interface FloodResult {
  readonly name: string;
  /** Megabits a second through the tunnel, medians: under the flood to a closed port, and under the same to weft's. */
  readonly closed: number;
  readonly open: number;
  /** Median of the rounds' ratios. */
  readonly ratio: number;
  readonly perSecond: number;
  /** Of the flooded daemon, in megabytes: when the tunnel has carried a stream beside a flood to the closed port, and the most after any flood to its own. */
  readonly resident: { readonly before: number; readonly after: number };
  readonly drops: Readonly<Record<string, number>>;
}

const kinds: readonly { readonly name: string; readonly known: boolean; readonly spoofed: boolean }[] = [
  { name: 'strangers, many sources', known: false, spoofed: true },
  { name: 'strangers, one source', known: false, spoofed: false },
  { name: 'who knows our key, many sources', known: true, spoofed: true },
  { name: 'who knows our key, one source', known: true, spoofed: false },
];

/** What became of a tunnel while a flood lasted. */
export interface StandingFlood {
  /** How often it ended, as either end says. */
  readonly ended: number;
  /** One a second through it. */
  readonly pings: number;
  readonly answered: number;
  readonly perSecond: number;
}

/**
 * 50,000 forged initiations a second, with a good mac1 and from many sources, hit the port of b, while a tunnel stands between
 * it and a; at 180 s it ends unless both have renewed its keys.
 */
export async function floodStanding(seconds: number): Promise<StandingFlood> {
  const world = await World.build({ b: host(), a: host(), x: host() });
  try {
    const [b, a] = (await network(world, ['b', 'a'])) as [WeftNode, WeftNode];
    const publicKey = toHex(decodeInvitation(await b.invite())!.dh);
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
    while (!isOver) {
      pings++;
      if (await a.pings(address)) answered++;
      await sleep(1000);
    }
    const { sent } = JSON.parse((await over).stdout) as { sent: number };
    const ended = [a, b].flatMap((node) => node.log()).filter((line) => line.includes('"kind":"tunnel-down"')).length;
    return { ended, pings, answered, perSecond: sent / seconds };
  } finally {
    world.remove();
  }
}

/**
 * Forged initiations at 50,000 a second hit the port of b while a sends to b through their tunnel; beside it, in turn,
 * the same flood to a port where nobody listens: what it costs the machine anyway.
 */
export async function flood(tell: Narrator, rounds: number, seconds: number, only?: string): Promise<FloodResult[]> {
  const world = await World.build({ b: host(), a: host(), x: host() });
  try {
    const [b, a] = await network(world, ['b', 'a']);
    const publicKey = toHex(decodeInvitation(await b!.invite())!.dh);
    await allPairsPing([a!, b!], 20_000);
    const address = await b!.address();
    const target = b!.host.address;
    const attacker = world.host('x');
    const under = async (options: Pick<FloodOptions, 'port' | 'spoofed' | 'publicKey'>) => {
      const whole: FloodOptions = {
        ...options,
        to: target,
        from: options.spoofed ? '11.200.0.1' : attacker.address,
        perSecond: 50_000,
        seconds: seconds + 1.5,
      };
      const child = attacker.namespace.spawn([process.execPath, flooder, JSON.stringify(whole)]);
      const over = finished(child);
      await sleep(800);
      const rate = await stream(a!.host, b!.host, address, { seconds });
      const { sent } = JSON.parse((await over).stdout) as { sent: number };
      return { rate, perSecond: sent / whole.seconds };
    };
    const results: FloodResult[] = [];
    for (const kind of kinds.filter(({ name }) => only === undefined || name === only)) {
      const options = { spoofed: kind.spoofed, ...(kind.known ? { publicKey } : {}) };
      const before = (await b!.status()).drops;
      const pairs: { closed: number; open: number; perSecond: number }[] = [];
      let resident: FloodResult['resident'] | undefined;
      for (let round = 0; round < rounds; round++) {
        const closed = await under({ ...options, port: closedPort });
        resident ??= { before: residentMegabytes(b!.pid!), after: 0 };
        const open = await under({ ...options, port: 16696 });
        resident = { ...resident, after: Math.max(resident.after, residentMegabytes(b!.pid!)) };
        pairs.push({ closed: closed.rate, open: open.rate, perSecond: Math.min(closed.perSecond, open.perSecond) });
      }
      const after = (await b!.status()).drops;
      const drops = Object.fromEntries(
        Object.entries(after)
          .map(([reason, count]) => [reason, count - (before[reason] ?? 0)] as const)
          .filter(([, count]) => count > 0),
      );
      const result: FloodResult = {
        name: kind.name,
        closed: median(pairs.map(({ closed }) => closed)),
        open: median(pairs.map(({ open }) => open)),
        ratio: median(pairs.map(({ closed, open }) => open / closed)),
        perSecond: median(pairs.map(({ perSecond }) => perSecond)),
        resident: resident!,
        drops,
      };
      results.push(result);
      tell.good(
        `${kind.name}: ${result.open.toFixed(0)} Mbit/s, to a closed port ${result.closed.toFixed(0)}: ${result.ratio.toFixed(2)} at ${result.perSecond.toFixed(0)}/s; ${result.resident.before.toFixed(1)} MB before, ${result.resident.after.toFixed(1)} after; ${JSON.stringify(drops)}`,
      );
    }
    return results;
  } finally {
    world.remove();
  }
}
