import test from 'ava';
import { parseIp } from '../../src/addr/ip.js';
import { parsePrefix } from '../../src/addr/prefix.js';
import { second } from '../../src/time.js';
import { BabelNetwork, noHysteresis } from './babel-network.js';
import { networkPrefix, numberOf } from './babel-node.js';
import { peerOf } from './link.js';
import { type Packet, PacketWalk } from './packet-walk.js';
import { line } from './topology.js';

const specific = parsePrefix('fd00:1234:5::/48')!;
const covering = parsePrefix('fd00:1234::/32')!;
const address = parseIp('fd00:1234:5::1')!;

interface Fate {
  readonly from: number;
  readonly sentAt: number;
  readonly end: 'delivered' | 'dropped';
  readonly at: number;
  readonly sealedBy: readonly number[];
}

/**
 * Five in a line. A network is connected to the first, one that covers it to the last; everybody sends to it every 5 ms
 * while the first loses it, over links of this delay.
 */
function losing(delay: number): { readonly fates: Fate[]; readonly lostAt: number } {
  const nodes = 5;
  const walk = new PacketWalk(networkPrefix, nodes, numberOf);
  const world = new BabelNetwork({
    seed: 1,
    nodes,
    tuning: noHysteresis,
    routed: (node, changes) => walk.changed(node, changes),
  });
  const { network } = world;
  for (const [a, b] of line(nodes)) network.link(a, b, { delay });
  network.tell(0, { kind: 'originate', prefix: specific, metric: 0 });
  network.tell(nodes - 1, { kind: 'originate', prefix: covering, metric: 0 });
  world.runTo(20 * second);
  const fates: Fate[] = [];
  const send = (from: number) => {
    const packet: Packet = { address, sealedBy: [], egress: 0 };
    const sentAt = network.now;
    const go = (node: number, next: number | 'delivered' | 'dropped') => {
      if (typeof next !== 'number') {
        fates.push({ from, sentAt, end: next, at: node, sealedBy: packet.sealedBy });
        return;
      }
      const link = network.links[next]!;
      const to = peerOf(link, node);
      network.at(network.now + link.quality.delay, () => go(to, walk.arrived(to, packet)));
    };
    go(from, walk.sent(from, packet));
  };
  const from = network.now;
  for (let time = 0; time < 6000; time += 5) {
    network.at(from + time, () => {
      for (let node = 0; node < nodes; node++) send(node);
    });
  }
  const lostAt = from + 500;
  network.at(lostAt, () => network.tell(0, { kind: 'withdraw', prefix: specific }));
  world.runTo(from + 10 * second);
  return { fates, lostAt };
}

for (const delay of [1, 20, 150]) {
  test(`packets for a lost network, links of ${delay} ms: none goes in circles, and all come to the covering one in the end`, (t) => {
    const { fates, lostAt } = losing(delay);
    t.is(fates.length, 6000);
    const before = fates.filter(({ sentAt }) => sentAt < lostAt - 4 * delay);
    t.true(before.every(({ end, at }) => end === 'delivered' && at === 0));
    const settled = fates.filter(({ sentAt }) => sentAt > lostAt + 2500 + 10 * delay);
    t.true(settled.length > 1000 && settled.every(({ end, at }) => end === 'delivered' && at === 4));
    t.true(
      fates.some(({ end }) => end === 'dropped'),
      'held: neither way',
    );
    for (const { sealedBy, from, sentAt } of fates) {
      t.is(new Set(sealedBy).size, sealedBy.length, `from ${from}, ${sentAt - lostAt} ms after the loss: ${sealedBy}`);
    }
  });
}
