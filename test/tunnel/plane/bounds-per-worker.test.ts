import test from 'ava';
import { nodeAddress } from '../../../src/addr/node-number.js';
import { buildPacket } from './packets.js';
import { type Node, network, World } from './world.js';

/** Packets of so many flows to a node, some with each of its plane's workers: those of one differ by their last octet. */
function flood(from: Node, to: number, packets: number): void {
  for (let flow = 0; flow < packets; flow++) {
    const destination = nodeAddress(network, to);
    destination[15] = flow;
    const payload = new Uint8Array(20);
    from.plane.fromKernel(buildPacket({ version: 6, protocol: 'udp', source: from.address, destination, payload }));
  }
}

/** A node of so many workers that has a route to node 9 and no keys for it, and none to node 8. */
function lonely(workers: number): { world: World; node: Node } {
  const world = new World({ workers });
  const node = world.node(1);
  node.command({ kind: 'patchRoutes', nodes: [{ node: 9, hops: [2] }], prefixes: [], removedPrefixes: [] });
  world.settle();
  return { world, node };
}

for (const workers of [1, 2]) {
  test(`each of ${workers} says "no route" 20 times at once, and stages 64 packets and asks once a node`, (t) => {
    const { world, node } = lonely(workers);
    flood(node, 8, 100);
    world.settle();
    t.is(node.received.length, 20 * workers);
    flood(node, 9, 200);
    world.settle();
    t.is(node.dropped('staging-full'), 200 - 64 * workers);
    t.is(node.events.filter(({ kind }) => kind === 'sessionWanted').length, workers);
  });
}
