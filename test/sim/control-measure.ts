import { second } from '../../src/time.js';
import { ControlNetwork } from './control-network.js';
import { peakMegabytes } from './measure.js';
import { none } from './next-hops.js';
import type { RestReport } from './rest.js';

/** What one network of whole members did, all times virtual unless they say otherwise. */
export interface ControlMeasurement {
  readonly nodes: number;
  /** One after the other, until the last had joined. */
  readonly joinedSeconds: number;
  /** From then until everybody had a route to everybody. */
  readonly reachableSeconds: number;
  readonly rest: RestReport;
  /** Babel octets sent by a node, before they are sealed. */
  readonly restBitsPerSecond: number;
  readonly lostNodeSeconds: number;
  readonly cpuSeconds: number;
  /** What the process holds at the end, and the most it has ever held. */
  readonly residentMegabytes: number;
  readonly peakMegabytes: number;
}

/** What a run may take, so that one that hangs is told from one that is slow: seconds of processor time. */
const bound = (nodes: number): number => 60 + 0.005 * nodes ** 2.5;

/**
 * A network of whole members on good wires joins, rests, and loses one; under the invariants. `say` is given lines for
 * the terminal as things happen, `progress` what is going on meanwhile.
 */
export function measureControl(
  nodes: number,
  seed: number,
  say: (line: string) => void,
  progress: (text: string) => void,
): ControlMeasurement {
  const before = process.cpuUsage();
  const cpu = () => {
    const { user, system } = process.cpuUsage(before);
    return (user + system) / 1e6;
  };
  const held = () => process.memoryUsage().rss / 2 ** 20;
  const at = (what: string) => {
    progress(`${what}; processor ${cpu().toFixed(0)} s`);
    if (cpu() > bound(nodes))
      throw new Error(`${what}: over ${bound(nodes).toFixed(0)} s of processor time, the bound for ${nodes} members`);
  };
  const note = (what: string) => say(`${what}; processor ${cpu().toFixed(0)} s so far, ${Math.round(held())} MB`);
  say(`${nodes} members: at most ${bound(nodes).toFixed(0)} s of processor time`);
  const world = new ControlNetwork({ seed, nodes, joined: (count) => at(`${count} of ${nodes} members have joined`) });
  let octets = 0;
  world.world.watch({ sent: (_from, _to, bytes) => (octets += bytes.length) });
  const joinedSeconds = world.now / second;
  note(`${nodes} members have joined, one after the other, after ${joinedSeconds.toFixed(1)} simulated s`);
  const within = (what: string, holds: () => boolean, limit: number, every: number): number => {
    const from = world.now;
    const done = world.runUntil(
      () => {
        at(`${what}: ${((world.now - from) / second).toFixed(1)} s`);
        return holds();
      },
      limit,
      every,
    );
    if (!done)
      throw new Error(`${what}: not within ${limit / second} simulated s; ${world.missing} routes are missing`);
    return (world.now - from) / second;
  };
  const reachableSeconds = within('finding routes', () => world.missing === 0, 60 * second, 100);
  note(`every route is there ${reachableSeconds.toFixed(2)} s later`);
  const settled = world.now + 30 * second;
  within('coming to rest', () => world.now >= settled, 31 * second, 1000);
  const octetsBefore = octets;
  const rested = world.now + restWindow;
  within('at rest', () => world.now >= rested, restWindow + second, 1000);
  const restBitsPerSecond = (8 * (octets - octetsBefore)) / nodes / (restWindow / second);
  const rest = world.atRest();
  note(`a minute later: ${JSON.stringify(rest)}`);
  const lost = world.machines[nodes >> 1]!;
  const others = world.machines.filter((machine) => machine !== lost);
  world.explained(() => lost.crash());
  const right = () =>
    world.missing === 0 &&
    others.every(({ index }) => world.via(index, lost.index) === none) &&
    others.every((a) => others.every((b) => world.via(a.index, b.index) !== lost.index));
  const lostNodeSeconds = within('one died', right, 60 * second, 50);
  const unchecked = others.reduce((sum, { mesh }) => sum + (mesh.drops().get('signature-rate') ?? 0), 0);
  if (unchecked > 0) throw new Error(`${unchecked} signatures were not checked, though nobody lied`);
  note(`a member dies without a word: all routes are right ${lostNodeSeconds.toFixed(2)} s later`);
  return {
    nodes,
    joinedSeconds,
    reachableSeconds,
    rest,
    restBitsPerSecond,
    lostNodeSeconds,
    cpuSeconds: cpu(),
    residentMegabytes: held(),
    peakMegabytes: peakMegabytes(),
  };
}

const restWindow = 30 * second;
