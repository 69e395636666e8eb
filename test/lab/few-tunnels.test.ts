import { setTimeout as sleep } from 'node:timers/promises';
import test from 'ava';
import { host } from '../../lab/description.js';
import { Flow } from '../../lab/flow.js';
import { udpOn } from '../../lab/machines.js';
import { allPairsPing, network } from '../../lab/network.js';
import type { WeftNode } from '../../lab/node.js';
import { until } from '../../lab/until.js';
import { World } from '../../lab/world.js';
import { second } from '../../src/time.js';

/** One tunnel of its own for each, three in all: what thirty are among thousands of nodes, for five daemons. */
const few = '[port-mapping]\nenabled = false\n[force]\nown-tunnels = 1\nworkers = 2\n';

async function directOf(node: WeftNode): Promise<string[]> {
  return (await node.peers()).filter(({ state }) => state === 'direct').map(({ name }) => name);
}

/** Where packets were lost, and over what the node's tunnels went. */
async function whatHappened(node: WeftNode): Promise<string> {
  const { drops } = await node.status();
  const direct = (await node.peers()).filter(({ state }) => state === 'direct');
  const over = direct.map(({ name, tunnel }) => `${name} ${tunnel?.transport} for ${tunnel?.sinceSeconds} s`);
  return `${node.name}: ${over.join(', ')}; dropped ${JSON.stringify(drops)}`;
}

test('few tunnels: nobody has more than its places; a busy relayed flow gets a tunnel of its own, and loses nothing', async (t) => {
  const names = ['dc-1', 'a', 'b', 'c', 'd'];
  const world = await World.build(Object.fromEntries(names.map((name) => [name, host()])));
  try {
    const nodes = await network(world, names, few);
    // Who came when all places were taken has three seconds to hear who else there is; nobody sends it anything
    // meanwhile.
    await until(
      'everybody has a way to everybody, and nobody more than three tunnels',
      () => Promise.all(nodes.map((node) => node.peers())),
      (all) =>
        all.every((peers) => {
          const direct = peers.filter(({ state }) => state === 'direct').length;
          const relayed = peers.filter(({ state }) => state === 'relayed').length;
          return direct <= 3 && direct + relayed === names.length - 1;
        }),
      20 * second,
    );
    await allPairsPing(nodes, 20 * second);
    const tunnels = new Map<WeftNode, readonly string[]>();
    for (const node of nodes) tunnels.set(node, await directOf(node));
    t.log([...tunnels].map(([node, others]) => `${node.name}: ${others.join(' ')}`).join('; '));
    for (const others of tunnels.values()) t.true(others.length >= 1 && others.length <= 3);

    // Two that have a place left and no tunnel with each other: there always are, as each chose but one.
    const free = nodes.filter((node) => tunnels.get(node)!.length < 3);
    const [a, b] = free.flatMap((one) =>
      free
        .filter((other) => other !== one && !tunnels.get(one)!.includes(other.name))
        .map((other) => [one, other] as const),
    )[0]!;
    t.is((await a.peer(b.name))?.state, 'relayed', 'pings are worth no tunnel');
    const began = new Date().toISOString();
    const interval = 5;
    const flow = new Flow(a.host, b.host, await b.address(), interval);
    const load = udpOn(a.host, 0, '::');
    const to = udpOn(b.host, 7009, '::');
    const address = await b.address();
    const payload = Buffer.alloc(1000);
    const sending = setInterval(() => {
      for (let i = 0; i < 5; i++) load.send(payload, 7009, address, () => {});
    }, 10); // 4 Mbit/s
    let took: number;
    let missing: readonly number[];
    try {
      ({ took } = await until(
        'a busy flow has a tunnel of its own',
        async () => [await a.peer(b.name), await b.peer(a.name)],
        (peers) => peers.every((peer) => peer?.state === 'direct' && peer.via === null),
        40 * second,
        async () => `${await a.weft('why', address).then(JSON.stringify)}\n${a.tail()}\n${b.tail()}`,
      ));
      await sleep(second);
      const { sent } = flow;
      await sleep(second / 2);
      missing = flow.missing(sent);
    } finally {
      clearInterval(sending);
      load.close();
      to.close();
      flow.stop();
    }
    t.log(`direct after ${(took / second).toFixed(1)} s of 4 Mbit/s`);
    if (missing.length > 0) {
      for (const node of nodes) t.log(node.tail());
      for (const node of nodes) t.log(await whatHappened(node));
      t.log(`the first was lost ${((missing[0]! * interval) / second).toFixed(1)} s after ${began}`);
    }
    t.deepEqual(missing, [], 'make before break');
    for (const node of nodes) t.true((await directOf(node)).length <= 3);
  } finally {
    world.remove();
  }
});
