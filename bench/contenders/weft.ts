import { readFileSync, rmSync } from 'node:fs';
import type { WeftNode } from '../../lab/node.js';
import { checkedOut } from '../../scripts/checked-out.js';
import { type Chain, type Contender, Daemons } from '../contender.js';

/** weft with its own defaults. Each host joins through the one before it, which is the only one it can reach. */
export const weft: Contender = {
  name: 'weft',
  version: () => `${packageVersion()} (${checkedOut()})`,
  relays: true,
  async start(chain) {
    const nodes = chain.hosts.map(({ name }) => chain.world.node(name));
    const stop = async () => {
      await Promise.all(nodes.map((node) => node.kill('SIGTERM')));
      for (const node of nodes) rmSync(node.state, { recursive: true, force: true });
    };
    try {
      await joinInARow(chain, nodes);
      const addresses = await Promise.all(nodes.map((node) => node.address()));
      await new Daemons().untilPing(chain.hosts, addresses.at(-1)!);
      return { addresses, pids: nodes.map((node) => node.pid!), stop };
    } catch (error) {
      await stop(); // what did start must not stand in the way of the next round
      throw error;
    }
  },
};

function packageVersion(): string {
  return (JSON.parse(readFileSync('package.json', 'utf8')) as { version: string }).version;
}

async function joinInARow({ lineAddress }: Chain, nodes: readonly WeftNode[]): Promise<void> {
  // Each to its end, also beside one that fails: what still starts could not be stopped.
  const starts = await Promise.allSettled(nodes.map((node) => node.start()));
  for (const start of starts) if (start.status === 'rejected') throw start.reason;
  const founder = nodes[0]!;
  await founder.init();
  for (const [i, node] of nodes.slice(1).entries()) {
    const before = nodes[i]!;
    if (before !== founder) await founder.weft('issuer', 'add', before.name);
    await node.join(await before.invite('--endpoint', `${lineAddress(i, i + 1)}:16696`));
  }
}
