import { seededRandom } from '../../src/random.js';
import { defaultTuning } from '../../src/routing/tuning.js';
import { minute, second } from '../../src/time.js';
import { BabelNetwork } from './babel-network.js';
import { none } from './next-hops.js';
import type { RestReport, WrongPair } from './rest.js';
import { expect, expectShort, expectWhole } from './scenario.js';
import type { Recording } from './sequence.js';
import { randomTunnels } from './topology.js';
import { violationIn } from './violation.js';

export interface MeasureOptions {
  readonly nodes: number;
  readonly seed: number;
  /** Tunnels each node makes of its own; the mean degree is nearly twice that. */
  readonly own: number;
  /** How many nodes announce a prefix. */
  readonly announcing: number;
  /** Prefixes whose invariants are checked after every event: one in so many. */
  readonly watchOneIn: number;
  readonly progress: (text: string) => void;
  /** Meddles with the network before it begins. */
  readonly meddle?: (world: BabelNetwork) => void;
}

/** What one simulated network did, all times virtual unless they say otherwise. */
export interface Measurement {
  readonly nodes: number;
  readonly announcing: number;
  readonly degree: number;
  readonly coldStartSeconds: number;
  /** Half a minute after the start, before anything else happened. */
  readonly rest: RestReport;
  /** How often a watched prefix was looked at, after an event of a node. */
  readonly checks: number;
  /** Sent by a node: Babel octets, and with 60 octets of UDP, IPv4 and tunnel on each packet. */
  readonly coldStartBytesPerNode: number;
  readonly restBitsPerSecond: number;
  readonly restWireBitsPerSecond: number;
  readonly restPacketsPerSecond: number;
  readonly lostNodeSeconds: number;
  /** The speakers' own account of their largest table, that of routes. */
  readonly tableBytesPerNode: number;
  /** The process as a whole, with the simulated links and whoever watches. */
  readonly residentBytesPerNode: number;
  readonly events: number;
  readonly wallSeconds: number;
  /** Of all threads of the process, so that a busy machine does not count. */
  readonly cpuSeconds: number;
  /** What the process holds at the end, and the most it has ever held. */
  readonly residentMegabytes: number;
  readonly peakMegabytes: number;
}

const wireOverhead = 60;
/** Links are like those between homes and data centres of one continent. */
const delays = { least: 5, spread: 45 };

/**
 * One network's figures. When something is wrong it throws, with the seed and a drawing: so many nodes are not recorded as they
 * go, so the same is run once more, and what led to it is.
 */
export function measure(options: MeasureOptions): Measurement {
  try {
    return run(options, false);
  } catch (first) {
    const violation = violationIn(first);
    if (violation?.prefix === undefined) throw first;
    const { prefix, nodes } = violation;
    const again = { ...options, progress: (text: string) => options.progress(`once more, to draw it: ${text}`) };
    run(again, { prefix, nodes });
    throw first; // not reached: the same seed is the same run
  }
}

function run(options: MeasureOptions, recorded: Recording | false): Measurement {
  const { nodes, seed, own, announcing, watchOneIn, progress, meddle } = options;
  const started = performance.now();
  const cpuBefore = process.cpuUsage();
  const random = seededRandom(seed ^ 0x5eed);
  const edges = randomTunnels(nodes, own, random);
  const step = nodes / announcing;
  const announcers = new Set(Array.from({ length: announcing }, (_, i) => Math.floor(i * step)));
  const world = new BabelNetwork({
    seed,
    nodes,
    announces: (index) => announcers.has(index),
    watch: [...announcers].filter((_, i) => i % watchOneIn === 0),
    recorded,
    lookahead: delays.least,
  });
  const { network } = world;
  // Tunnels come up within the first half second, as they do when a whole network is switched on.
  for (const [a, b] of edges) {
    const quality = { delay: delays.least + delays.spread * random.unit(), jitter: 2 };
    network.at(500 * random.unit(), () => network.link(a, b, quality));
  }
  meddle?.(world);
  const pairs = nodes * announcing;
  const found = world.runUntil(
    () => {
      progress(`${(network.now / 1000).toFixed(1)} s: ${(100 * (1 - world.missing / pairs)).toFixed(1)} % of routes`);
      return world.missing === 0;
    },
    5 * minute,
    100,
  );
  if (!found) {
    const report = world.atRest();
    expect(world, 'j', false, 'not all reachable within 5 minutes:', report, report.wrong);
  }
  const coldStartSeconds = network.now / 1000;
  const coldStartBytesPerNode = network.traffic.bytes / nodes;
  progress('waiting for rest');
  world.runTo(network.now + 30 * second);
  const looked = nodes > 2000 ? world.announcing.slice(0, 20) : world.announcing;
  let rest = world.atRest(looked);
  if (rest.beyond + rest.untrue > 0) {
    // What became better by little is told later: it was told by then.
    world.runTo(network.now + 2 * defaultTuning.lazyDelay);
    rest = world.atRest(looked);
  }
  expectWhole(world, rest);
  expectShort(world, rest);
  const before = { ...network.traffic };
  const from = network.now;
  while (network.now < from + restWindow) {
    world.runTo(Math.min(from + restWindow, network.now + 10 * second));
    progress(`at rest, ${Math.round((network.now - from) / 1000)} of ${restWindow / 1000} s`);
  }
  const packets = network.traffic.packets - before.packets;
  const bytes = network.traffic.bytes - before.bytes;
  const tables = network.nodes.reduce((sum, { machine }) => sum + machine.sizes().octets, 0);
  const lostNodeSeconds = loseOne(world, nodes >> 1);
  const unchecked = network.nodes.reduce((sum, { machine }) => sum + (machine.counts().get('signature-rate') ?? 0), 0);
  if (unchecked > 0) throw new Error(`${unchecked} signatures were not checked, though nobody lied`);
  const resident = process.memoryUsage().rss;
  const cpu = process.cpuUsage(cpuBefore);
  return {
    nodes,
    announcing,
    degree: (2 * edges.length) / nodes,
    coldStartSeconds,
    rest,
    checks: world.invariants.checks,
    coldStartBytesPerNode,
    restBitsPerSecond: (8 * bytes) / nodes / (restWindow / 1000),
    restWireBitsPerSecond: (8 * (bytes + wireOverhead * packets)) / nodes / (restWindow / 1000),
    restPacketsPerSecond: packets / nodes / (restWindow / 1000),
    lostNodeSeconds,
    tableBytesPerNode: tables / nodes,
    residentBytesPerNode: resident / nodes,
    events: network.events,
    wallSeconds: (performance.now() - started) / 1000,
    cpuSeconds: (cpu.user + cpu.system) / 1e6,
    residentMegabytes: resident / 2 ** 20,
    peakMegabytes: peakMegabytes(),
  };
}

/** The most memory this process has ever held. */
export function peakMegabytes(): number {
  return process.resourceUsage().maxRSS / 1024; // it is given in KiB
}

/** Three Hello intervals. Tunnels' Update intervals begin anywhere, so every part of one is like every other. */
const restWindow = 1 * minute;

/** Kills a node; the seconds from when its neighbours know until every route in the network is right again. */
function loseOne(world: BabelNetwork, lost: number): number {
  const { network } = world;
  network.kill(lost, 0);
  const from = network.now;
  const wrong = (): WrongPair | undefined => {
    for (const target of world.announcing) {
      const vias = world.viasTo(target);
      for (const { index: node, alive } of network.nodes) {
        const via = vias[node]!;
        if (alive && (target === lost ? via !== none : via === none || via === lost)) return { node, target };
      }
    }
    return undefined;
  };
  world.runUntil(() => wrong() === undefined, from + 5 * minute, 20);
  const left = wrong();
  const invariant = left?.target === lost ? 'i' : 'j';
  expect(world, invariant, !left, `5 minutes after ${lost} died a way is not right:`, left, left);
  return (network.now - from) / 1000;
}
