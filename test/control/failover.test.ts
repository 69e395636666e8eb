import test from 'ava';
import { type Millis, second } from '../../src/time.js';
import type { LinkQuality } from '../sim/link.js';
import { type Machine, World } from './world.js';

/**
 * The relay in use between two that cannot speak directly falls silent, heals, and so on, under a flow of 200 datagrams a
 * second, on wires of that quality. Gives the outages.
 */
function outages(seed: number, quality: Partial<LinkQuality>, times: number): Millis[] {
  const world = new World(seed);
  const machines = world.network(4);
  const [, , c, d] = machines as [Machine, Machine, Machine, Machine];
  world.until(() => machines.every((a) => machines.every((b) => a === b || a.hasTunnelTo(b))), 10 * second);
  world.separate(c, d);
  world.until(() => !c.hasTunnelTo(d) && !d.hasTunnelTo(c) && c.nextHopTo(d) !== undefined, 10 * second);
  world.quality = { ...world.quality, ...quality };
  let [longest, since] = [0, 0];
  const flow = (time: Millis) => {
    for (const end = world.now + time; world.now < end; ) {
      c.send(d, 'x');
      world.run(5);
      if (d.packets.length > 0) {
        longest = Math.max(longest, world.now - since);
        since = world.now;
      }
      d.packets.length = 0;
    }
  };
  const found: Millis[] = [];
  flow(3 * second);
  for (let i = 0; i < times; i++) {
    const relay = machines.find(({ number }) => number === c.nextHopTo(d))!;
    const others = machines.filter((other) => other !== relay);
    for (const other of others) world.separate(relay, other);
    longest = 0;
    flow(5 * second);
    found.push(Math.max(longest, world.now - since));
    for (const other of others) world.separate(relay, other, false);
    const before = world.now;
    do flow(second);
    while (
      world.now - before < 60_000 &&
      !others.every((other) => relay.hasTunnelTo(other) && other.hasTunnelTo(relay))
    );
    flow(3 * second);
  }
  return found;
}

test('a dead relay costs less than a second, however late datagrams come and whatever died before', (t) => {
  const found = outages(1, { jitter: 2, late: 0.1, lateBy: 80 }, 5);
  t.log(`outages: ${found.map(Math.round).join(', ')} ms`);
  t.true(Math.max(...found) < second);
});
