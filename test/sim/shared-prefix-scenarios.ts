import { parsePrefix } from '../../src/addr/prefix.js';
import { second } from '../../src/time.js';
import { BabelNetwork, noHysteresis } from './babel-network.js';
import { prefixText } from './babel-node.js';
import { none } from './next-hops.js';
import { expect, premise, type Scenario } from './scenario.js';
import { line } from './topology.js';

/** A prefix of no node. */
export const sharedPrefix = parsePrefix('fd00:1234::/48')!;
const text = prefixText(sharedPrefix);
const sharedBy = (...originators: readonly number[]) => [{ prefix: sharedPrefix, originators }];

const anycast: Scenario = {
  name: 'a prefix with two originators is reached at the nearer one, and at the other when that one goes',
  run(seed) {
    const world = new BabelNetwork({ seed, nodes: 8, tuning: noHysteresis, shared: sharedBy(0, 7) });
    const { network } = world;
    for (const [a, b] of line(8)) network.link(a, b, { delay: 10 });
    world.runTo(20 * second);
    for (const index of [1, 2, 3])
      expect(world, 'h', world.invariants.via(index, text) === index - 1, `${index} goes left`);
    for (const index of [4, 5, 6])
      expect(world, 'h', world.invariants.via(index, text) === index + 1, `${index} goes right`);
    world.explained(() => network.tell(0, { kind: 'withdraw', prefix: sharedPrefix }));
    const allRight = () => [1, 2, 3, 4, 5, 6].every((index) => world.invariants.via(index, text) === index + 1);
    expect(world, 'j', world.runUntil(allRight, network.now + 10 * second), 'not all go right after 10 s');
  },
};

/**
 * Invariant f: two neighbours of different originators lose both at once, and each takes the other's route: of that
 * router-id it has announced nothing yet, so everything is feasible (RFC 8966 §2.8). The updates they send each other
 * end it.
 */
const sharedLoop: Scenario = {
  name: 'a loop between the routes of two originators dies of its own updates',
  run(seed) {
    const world = new BabelNetwork({ seed, nodes: 5, tuning: noHysteresis, shared: sharedBy(0, 3) });
    const { network, invariants } = world;
    //  0 ─── 1 ─── 2 ─── 3      1, 2 and 4 are a ring between the two originators
    //         └─ 4 ─┘
    for (const [a, b] of [...line(4), [1, 4], [4, 2]] as const) network.link(a, b, { delay: 10 });
    world.runTo(20 * second);
    const outer = [network.linkBetween(0, 1), network.linkBetween(2, 3)];
    for (const link of outer) network.cut(link, 100);
    const ended = () => [1, 2, 4].every((node) => invariants.via(node, text) === none);
    expect(world, 'i', world.runUntil(ended, network.now + 5 * second), 'a route to nobody lives on');
    premise(invariants.loopsSeen > 0, `seed ${seed}: no loop to look at`);
  },
};

/**
 * Invariant j: the way that is left leads to another originator than the one just lost, and is not feasible since it was
 * once used by a shorter way. Only that originator can help (RFC 8966 §3.8.2.2).
 */
const otherOriginator: Scenario = {
  name: 'a way that is left to another originator than the one lost is asked for there',
  run(seed) {
    //  1 ─── 0 ─── 2      0 goes by 2, then by 1, and then there is only the way by 3 to 2;
    //        ├─ 3 ─┘      4 is told of all of them
    //        4
    for (const pause of [200, 30 * second]) {
      const world = new BabelNetwork({ seed, nodes: 5, tuning: noHysteresis, shared: sharedBy(1, 2) });
      const { network, invariants } = world;
      const near = network.link(0, 2, { delay: 2 });
      const far = network.link(0, 1, { delay: 10 });
      for (const [a, b, delay] of [
        [0, 3, 10],
        [3, 2, 10],
        [0, 4, 5],
      ] as const)
        network.link(a, b, { delay });
      world.runTo(30 * second);
      expect(world, 'h', invariants.via(0, text) === 2, '0 goes by 2');
      network.cut(near, 200);
      world.runTo(network.now + 200 + pause);
      expect(world, 'j', invariants.via(0, text) === 1, '0 goes by 1');
      network.cut(far, 200);
      const found = () => invariants.via(0, text) === 3 && invariants.via(4, text) === 0;
      const isFound = world.runUntil(found, network.now + 4 * second, 20);
      expect(world, 'j', isFound, '0 does not find the way by 3 within 4 s;', { via: invariants.via(0, text) });
    }
  },
};

/** Of a prefix with more than one originator. */
export const sharedPrefixScenarios: readonly Scenario[] = [anycast, sharedLoop, otherOriginator];
