import { setTimeout as sleep } from 'node:timers/promises';
import { host } from '../description.js';
import { Download, offer } from '../download.js';
import { allPairsPing, network } from '../network.js';
import type { WeftNode } from '../node.js';
import { stream } from '../stream.js';
import { World } from '../world.js';

/** What both daemons are started with: `force.*` keys, and worker threads. */
export interface Forced {
  readonly force: readonly string[];
  readonly workers?: number;
}

/** Each fallback alone, and other numbers of threads. */
export const eachFallback: readonly Forced[] = [
  ...['no-uso', 'no-tso', 'no-udp-gso', 'no-vnet-header', 'no-evp', 'no-aes', 'no-steering'].map((key) => ({
    force: [key],
  })),
  { force: [], workers: 1 },
  { force: [], workers: 2 },
  { force: [], workers: 3 },
];

/** What else a status may list with a key: what cannot be without it, or is measured anew. */
const follows: Readonly<Record<string, readonly string[]>> = {
  'no-vnet-header': ['no-tso', 'no-uso'],
  'no-tso': ['no-uso'],
  'no-udp-gso': ['no-udp-gro'],
  'no-evp': ['no-aes'],
};

/** Throws where the status does not list each forced key, lists one more, or has another number of workers. */
async function requireShown(node: WeftNode, unforced: readonly string[], { force, workers }: Forced): Promise<void> {
  const status = await node.status();
  const may = new Set([...unforced, ...force, ...force.flatMap((key) => follows[key] ?? [])]);
  const hidden = force.filter((key) => !status.fallbacks.includes(key));
  const invented = status.fallbacks.filter((key) => !may.has(key));
  if (hidden.length > 0) throw new Error(`${node.name} does not show ${hidden.join(', ')}`);
  if (invented.length > 0) throw new Error(`${node.name} shows ${invented.join(', ')}, which nobody forced`);
  if (workers !== undefined && status.workers !== workers)
    throw new Error(`${node.name} shows ${status.workers} workers, not ${workers}`);
}

/** Fetches a file over HTTP; throws where it did not come byte for byte within half a minute. */
export async function transfer(from: WeftNode, to: WeftNode, megabytes: number): Promise<void> {
  const offered = await offer(from.host, await from.address(), megabytes * 1e6);
  try {
    const download = new Download(to.host, offered.url);
    await Promise.race([download.finished, sleep(30_000, undefined, { ref: false }).then(() => download.stop())]);
    if (download.octets !== offered.octets) throw new Error(`${download.octets} of ${offered.octets} octets came`);
    if (download.checksum() !== offered.checksum) throw new Error('the file came changed');
  } finally {
    offered.stop();
  }
}

/**
 * Two daemons are started anew with each of these in turn, meet, show it in their status, and carry a file and flows.
 */
export async function withFallbacks(turns: readonly Forced[]): Promise<void> {
  const world = await World.build({ b: host(), a: host() });
  try {
    const nodes = await network(world, ['b', 'a']);
    const [b, a] = nodes as [WeftNode, WeftNode];
    const { fallbacks: unforced } = await b.status();
    for (const turn of turns) {
      const vain = turn.force.filter((key) => unforced.includes(key));
      if (vain.length > 0) throw new Error(`${vain.join(', ')} need not be forced on this machine`);
      const keys = turn.force.map((key) => `${key} = true\n`).join('');
      const config = `[force]\n${keys}${turn.workers === undefined ? '' : `workers = ${turn.workers}\n`}`;
      await Promise.all(
        nodes.map(async (node) => {
          await node.kill('SIGTERM');
          await node.start({ config });
        }),
      );
      await allPairsPing(nodes, 20_000);
      for (const node of nodes) await requireShown(node, unforced, turn);
      try {
        await transfer(b, a, 20);
        if (turn.workers === undefined) continue;
        // Eight flows, spread over the threads, and a file the other way.
        await Promise.all([transfer(a, b, 20), stream(b.host, a.host, await a.address(), { parallel: 8 })]);
      } catch (error) {
        throw new Error(`with ${config}`, { cause: error });
      }
    }
  } finally {
    world.remove();
  }
}
