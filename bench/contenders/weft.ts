import { rmSync } from 'node:fs';
import { network } from '../../lab/network.js';
import type { Contender } from '../contender.js';
import { Daemons } from '../contender.js';

/** weft with its own defaults. */
export const weft: Contender = {
  name: 'weft',
  version: () => 'this tree',
  relays: true,
  async start({ world, hosts }) {
    const nodes = await network(
      world,
      hosts.map(({ name }) => name),
    );
    const addresses = await Promise.all(nodes.map((node) => node.address()));
    await new Daemons().untilPing(hosts, addresses.at(-1)!);
    return {
      addresses,
      pids: nodes.map((node) => node.pid!),
      async stop() {
        await Promise.all(nodes.map((node) => node.kill('SIGTERM')));
        for (const node of nodes) rmSync(node.state, { recursive: true, force: true });
      },
    };
  },
};
