import type { Millis } from '../src/time.js';
import type { WeftNode } from './node.js';
import { table } from './table.js';
import { until } from './until.js';
import type { World } from './world.js';

/**
 * Makes one network of these machines: daemons start, the first founds, the others join all at once with tokens of the
 * first. Gives the nodes in the same order.
 */
export async function network(world: World, names: readonly string[], config?: string): Promise<WeftNode[]> {
  const nodes = names.map((name) => world.node(name));
  await Promise.all(nodes.map((node) => node.start(config === undefined ? {} : { config })));
  const [first, ...others] = nodes;
  await first!.init();
  await Promise.all(others.map(async (node) => node.join(await first!.invite())));
  return nodes;
}

/** Waits until every node's kernel reaches every other by ping; gives how long that took. */
export async function allPairsPing(nodes: readonly WeftNode[], within: Millis): Promise<Millis> {
  const addresses = await Promise.all(nodes.map((node) => node.address()));
  const missing = new Set(
    nodes.flatMap((from) => nodes.filter((to) => to !== from).map((to) => `${from.name} ${to.name}`)),
  );
  const started = performance.now();
  await until(
    'all pairs ping',
    async () => {
      await Promise.all(
        nodes.map(async (from) => {
          for (const [i, to] of nodes.entries()) {
            const pair = `${from.name} ${to.name}`;
            if (missing.has(pair) && (await from.pings(addresses[i]!))) missing.delete(pair);
          }
        }),
      );
      return [...missing];
    },
    (left) => left.length === 0,
    within,
    async () => (await Promise.all(nodes.map((node) => view(node)))).join('\n'),
  );
  return performance.now() - started;
}

/** What a node believes, for an error: its tunnels, its routes, the end of its log. */
async function view(node: WeftNode): Promise<string> {
  try {
    const [peers, routes] = [await node.peers(), await node.routes()];
    const tunnels = table(
      ['PEER', 'STATE', 'VIA', 'ENDPOINT', 'TX', 'RX'],
      peers.map(({ name, state, via, tunnel }) => [
        name,
        state,
        via,
        tunnel?.endpoint,
        tunnel?.txBytes,
        tunnel?.rxBytes,
      ]),
    );
    const ways = table(
      ['PREFIX', 'ORIGIN', 'NEXT HOP', 'METRIC', 'SEQNO', 'AGE', ''],
      routes.map(({ prefix, origin, nextHop, metric, seqno, ageSeconds, selected, feasible }) => [
        ...[prefix, origin, nextHop, metric, seqno, ageSeconds],
        selected ? 'selected' : feasible ? 'feasible' : 'unfeasible',
      ]),
    );
    return `── ${node.name}\n${tunnels}\n${ways}\n${node.tail(8)}`;
  } catch (error) {
    return `── ${node.name}: ${error}\n${node.tail()}`;
  }
}

/** Waits until each of the two sees the other in this state. */
export async function pairState(
  a: WeftNode,
  b: WeftNode,
  state: 'direct' | 'relayed' | 'connected',
  within: Millis,
): Promise<Millis> {
  const { took } = await until(
    `${a.name} and ${b.name} are ${state}`,
    async () => [await a.peer(b.name), await b.peer(a.name)],
    (peers) =>
      peers.every((peer) =>
        state === 'connected' ? peer?.state === 'direct' || peer?.state === 'relayed' : peer?.state === state,
      ),
    within,
    () => `${a.tail()}\n${b.tail()}`,
  );
  return took;
}
