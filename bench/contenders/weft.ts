import { rmSync } from 'node:fs';
import { type Contender, Daemons } from '../contender.js';

/** weft with its own defaults. Each host joins through the one before it, which is the only one it can reach. */
export const weft: Contender = {
  name: 'weft',
  version: () => 'this tree',
  relays: true,
  async start({ world, hosts, lineAddress }) {
    const nodes = hosts.map(({ name }) => world.node(name));
    await Promise.all(nodes.map((node) => node.start()));
    const founder = nodes[0]!;
    await founder.init();
    for (const [i, node] of nodes.slice(1).entries()) {
      const before = nodes[i]!;
      if (before !== founder) await founder.weft('issuer', 'add', before.name);
      await node.join(await before.invite('--endpoint', `${lineAddress(i, i + 1)}:16696`));
    }
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
