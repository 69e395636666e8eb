import { second } from '../../src/time.js';
import { ControlNetwork } from './control-network.js';
import { none } from './invariants.js';

/** A network of whole members on good wires joins, rests, and loses one; under the invariants. Lines for the terminal. */
export function measureControl(nodes: number, seed: number): string[] {
  const lines: string[] = [];
  const before = process.cpuUsage();
  const cpu = () => {
    const { user, system } = process.cpuUsage(before);
    return ((user + system) / 1e6).toFixed(0);
  };
  const note = (what: string) => {
    const megabytes = Math.round(process.memoryUsage().rss / 2 ** 20);
    lines.push(`${what}; processor ${cpu()} s so far, ${megabytes} MB`);
  };
  const world = new ControlNetwork({ seed, nodes });
  note(`${nodes} members have joined, one after the other, after ${(world.now / 1000).toFixed(1)} simulated s`);
  const from = world.now;
  if (!world.runUntil(() => world.missing === 0, 60 * second)) throw new Error(`${world.missing} routes are missing`);
  note(`every route is there ${((world.now - from) / 1000).toFixed(1)} s later`);
  world.runTo(world.now + 30 * second);
  note(`30 s later: ${JSON.stringify(world.atRest())}`);
  const lost = world.machines[nodes >> 1]!;
  const others = world.machines.filter((machine) => machine !== lost);
  world.explained(() => lost.crash());
  const crashed = world.now;
  const right = () =>
    world.missing === 0 &&
    others.every(({ index }) => world.via(index, lost.index) === none) &&
    others.every((a) => others.every((b) => world.via(a.index, b.index) !== lost.index));
  if (!world.runUntil(right, 60 * second, 50)) throw new Error('a member that died is still somebody’s next hop');
  note(`a member dies without a word: all routes are right ${((world.now - crashed) / 1000).toFixed(2)} s later`);
  return lines;
}
