import { second } from '../../src/time.js';
import { ControlNetwork } from './control-network.js';
import { none } from './next-hops.js';

/** What a run may take, so that one that hangs is told from one that is slow: seconds of processor time. */
const bound = (nodes: number): number => 60 + 0.005 * nodes ** 2.5;

/**
 * A network of whole members on good wires joins, rests, and loses one; under the invariants. `say` is given lines for the
 * terminal as things happen, `progress` what is going on meanwhile.
 */
export function measureControl(
  nodes: number,
  seed: number,
  say: (line: string) => void,
  progress: (text: string) => void,
): void {
  const before = process.cpuUsage();
  const cpu = () => {
    const { user, system } = process.cpuUsage(before);
    return (user + system) / 1e6;
  };
  const at = (what: string) => {
    progress(`${what}; processor ${cpu().toFixed(0)} s`);
    if (cpu() > bound(nodes))
      throw new Error(`${what}: over ${bound(nodes).toFixed(0)} s of processor time, the bound for ${nodes} members`);
  };
  const note = (what: string) => {
    say(`${what}; processor ${cpu().toFixed(0)} s so far, ${Math.round(process.memoryUsage().rss / 2 ** 20)} MB`);
  };
  say(`${nodes} members: at most ${bound(nodes).toFixed(0)} s of processor time`);
  const world = new ControlNetwork({ seed, nodes, joined: (count) => at(`${count} of ${nodes} members have joined`) });
  note(`${nodes} members have joined, one after the other, after ${(world.now / 1000).toFixed(1)} simulated s`);
  const within = (what: string, holds: () => boolean, limit: number, every: number): string => {
    const from = world.now;
    const done = world.runUntil(
      () => {
        at(`${what}: ${((world.now - from) / 1000).toFixed(1)} s`);
        return holds();
      },
      limit,
      every,
    );
    if (!done) throw new Error(`${what}: not within ${limit / 1000} simulated s; ${world.missing} routes are missing`);
    return ((world.now - from) / 1000).toFixed(2);
  };
  note(`every route is there ${within('finding routes', () => world.missing === 0, 60 * second, 100)} s later`);
  const rest = world.now + 30 * second;
  within('at rest', () => world.now >= rest, 31 * second, 1000);
  note(`30 s later: ${JSON.stringify(world.atRest())}`);
  const lost = world.machines[nodes >> 1]!;
  const others = world.machines.filter((machine) => machine !== lost);
  world.explained(() => lost.crash());
  const right = () =>
    world.missing === 0 &&
    others.every(({ index }) => world.via(index, lost.index) === none) &&
    others.every((a) => others.every((b) => world.via(a.index, b.index) !== lost.index));
  note(`a member dies without a word: all routes are right ${within('one died', right, 60 * second, 50)} s later`);
}
