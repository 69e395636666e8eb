import { mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { host, line } from '../lab/description.js';
import { World } from '../lab/world.js';
import { second } from '../src/time.js';
import type { Chain, Contender } from './contender.js';
import {
  beside,
  highestUdpRate,
  iperf,
  processorSeconds,
  residentMegabytes,
  roundTrip,
  type Throughput,
} from './measure.js';

/** One figure of the table. */
export interface Figure {
  readonly key: string;
  readonly title: string;
  readonly unit: string;
  /** Which way is better. */
  readonly better: 'more' | 'less';
  readonly digits: number;
}

/** Every figure there is, in the order of the table. */
export const figures: readonly Figure[] = [
  { key: 'tcp1', title: 'one TCP stream', unit: 'Gbit/s', better: 'more', digits: 2 },
  { key: 'tcp8', title: 'eight TCP streams', unit: 'Gbit/s', better: 'more', digits: 2 },
  { key: 'both', title: 'both directions at once', unit: 'Gbit/s', better: 'more', digits: 2 },
  { key: 'tcp1-bbr', title: 'one TCP stream, bbr', unit: 'Gbit/s', better: 'more', digits: 2 },
  { key: 'udp1200', title: 'UDP 1200 B, under 1 % lost', unit: 'Mbit/s', better: 'more', digits: 0 },
  { key: 'udp200', title: 'UDP 200 B, under 1 % lost', unit: 'Mbit/s', better: 'more', digits: 0 },
  { key: 'rtt-idle', title: 'round trip, idle', unit: 'ms', better: 'less', digits: 2 },
  { key: 'rtt-300', title: 'round trip at 300 Mbit/s', unit: 'ms', better: 'less', digits: 2 },
  { key: 'rtt-full', title: 'round trip, saturated', unit: 'ms', better: 'less', digits: 2 },
  { key: 'cpu', title: 'processor time of both daemons', unit: 's/GB', better: 'less', digits: 2 },
  { key: 'memory-idle', title: 'memory, idle', unit: 'MB', better: 'less', digits: 0 },
  { key: 'memory-loaded', title: 'memory, after load', unit: 'MB', better: 'less', digits: 0 },
  { key: 'relay1', title: 'one TCP stream through one relay', unit: 'Gbit/s', better: 'more', digits: 2 },
  { key: 'relay2', title: 'one TCP stream through two relays', unit: 'Gbit/s', better: 'more', digits: 2 },
];

/** Hosts in a row in one world, used by every contender in turn. */
export class Row {
  readonly #world: World;
  readonly #names: readonly string[];

  private constructor(world: World, names: readonly string[]) {
    this.#world = world;
    this.#names = names;
  }

  static async build(count: number): Promise<Row> {
    const names = Array.from({ length: count }, (_, i) => `host${i}`);
    const world = await World.build({
      ...Object.fromEntries(names.map((name) => [name, host({ online: false })])),
      ...Object.fromEntries(names.slice(1).map((name, i) => [`line${i}`, line(names[i]!, name)])),
    });
    return new Row(world, names);
  }

  remove(): void {
    this.#world.remove();
  }

  /** The row as a contender sees it, with an empty folder. */
  chain(contender: Contender): Chain {
    const folder = join(this.#world.folder, contender.name.replace(/[^a-z0-9]+/gi, '-'));
    rmSync(folder, { recursive: true, force: true });
    mkdirSync(folder, { recursive: true, mode: 0o700 });
    return {
      world: this.#world,
      hosts: this.#names.map((name) => this.#world.host(name)),
      folder,
      // Line k joins host k (.1) and host k + 1 (.2).
      lineAddress: (i, j) => `11.128.${Math.min(i, j)}.${i < j ? 1 : 2}`,
    };
  }
}

/** What a round is to measure, and where it tells each figure as soon as it is known. */
export interface RoundOrder {
  /** Of each throughput run. */
  readonly seconds: number;
  /** Keys of figures; all without it. */
  readonly only: ReadonlySet<string> | undefined;
  /** What was last found of a figure: where a search begins. */
  readonly before: (key: string) => number | undefined;
  readonly note: (key: string, value: number) => void;
  /** A figure that could not be had; the others go on. */
  readonly failed: (key: string, error: unknown) => void;
}

/** Daemons that have just met still compile and ask: that is the price of a start, whatever figures are asked for. */
const settling = 2 * second;

/**
 * One round of one contender between two hosts. A second of traffic comes first and is not measured, for everyone
 * alike.
 */
export async function directRound(row: Row, contender: Contender, order: RoundOrder): Promise<void> {
  const { seconds, only, before, note, failed } = order;
  const chain = row.chain(contender);
  const [from, to] = [chain.hosts[0]!, chain.hosts.at(-1)!];
  const wanted = (key: string) => !only || only.has(key);
  const running = await contender.start(chain);
  const { addresses, pids } = running;
  const address = addresses.at(-1)!;
  const measure = async (key: string, take: () => Promise<number> | number) => {
    if (!wanted(key)) return;
    try {
      note(key, await take());
    } catch (error) {
      failed(key, error);
    }
  };
  const gbits = async (run: Promise<Throughput>) => (await run).gbits;
  const rate = (key: string, octets: number) =>
    measure(key, () => highestUdpRate(from, to, address, octets, 1, before(key)));
  try {
    await sleep(settling);
    if (pids.length > 0) await measure('memory-idle', () => residentMegabytes(pids));
    await iperf(from, to, address, { seconds: 1 }).catch((error) => failed('the traffic before it', error));
    await measure('rtt-idle', () => roundTrip(from, address, 1));
    let perGigabyte = 0;
    await measure('tcp1', async () => {
      const spent = processorSeconds(pids);
      const { gbits: alone, octets } = await iperf(from, to, address, { seconds });
      perGigabyte = (processorSeconds(pids) - spent) / (octets / 1e9);
      return alone;
    });
    if (perGigabyte > 0) note('cpu', perGigabyte);
    await measure('tcp8', () => gbits(iperf(from, to, address, { seconds, streams: 8 })));
    await measure('both', () => gbits(iperf(from, to, address, { seconds, bothWays: true })));
    await measure('tcp1-bbr', () => gbits(iperf(from, to, address, { seconds, congestion: 'bbr' })));
    await rate('udp1200', 1200);
    await rate('udp200', 200);
    // Three seconds of pings, half a second after the load began; answers may take some more.
    const ping = () => roundTrip(from, address, 10, 3);
    const load300 = { seconds: 5, udp: { mbits: 300, octets: 1200 } } as const;
    await measure('rtt-300', () => beside(iperf(from, to, address, load300), ping));
    await measure('rtt-full', () => beside(iperf(from, to, address, { seconds: 5 }), ping));
    if (pids.length > 0) await measure('memory-loaded', () => residentMegabytes(pids));
  } finally {
    await running.stop();
  }
}

/** One TCP stream from end to end of a longer row, after what comes before a round of two hosts too. */
export async function relayRound(row: Row, contender: Contender, seconds: number): Promise<number> {
  const chain = row.chain(contender);
  const running = await contender.start(chain);
  try {
    const [from, to, address] = [chain.hosts[0]!, chain.hosts.at(-1)!, running.addresses.at(-1)!];
    await sleep(settling);
    await iperf(from, to, address, { seconds: 1 });
    return (await iperf(from, to, address, { seconds })).gbits;
  } finally {
    await running.stop();
  }
}
