import test from 'ava';
import { home, host } from '../../lab/description.js';
import { renumber } from '../../lab/machines.js';
import { allPairsPing, pairState } from '../../lab/network.js';
import { until } from '../../lab/until.js';
import { World } from '../../lab/world.js';

test('two members of one LAN talk over it, and find each other there with the Internet gone', async (t) => {
  const world = await World.build({ dc: host(), home: home({ members: ['desk', 'shelf'] }) }, { cold: true });
  try {
    const nodes = ['dc', 'desk', 'shelf'].map((name) => world.node(name));
    const [dc, desk, shelf] = nodes as [(typeof nodes)[0], (typeof nodes)[0], (typeof nodes)[0]];
    await Promise.all(nodes.map((node) => node.start()));
    await dc.init();
    for (const node of [desk, shelf]) await node.join(await dc.invite());
    await allPairsPing(nodes, 10_000);
    const onLan = async (shelfAddress: string) => {
      await pairState(desk, shelf, 'direct', 10_000);
      for (const [one, other, address] of [
        [desk, shelf, shelfAddress],
        [shelf, desk, desk.host.address],
      ] as const) {
        await until(
          `${one.name} reaches ${other.name} at its LAN address`,
          async () => (await one.peer(other.name))?.tunnel?.endpoint,
          (endpoint) => endpoint === `${address}:16696`,
          10_000,
        );
      }
    };
    await onLan(shelf.host.address);
    await Promise.all([desk.kill('SIGTERM'), shelf.kill('SIGTERM')]);
    await desk.host.router!.wire.cut();
    // So that no record on any disk says where it is.
    const moved = shelf.host.address.replace(/\d+$/, '77');
    await renumber(shelf.host, moved);
    await Promise.all([desk.start(), shelf.start()]);
    const ready = performance.now();
    await onLan(moved);
    await allPairsPing([desk, shelf], 10_000);
    t.log(`found without the Internet ${Math.round(performance.now() - ready)} ms after the daemons were ready`);
    t.pass();
  } finally {
    world.remove();
  }
});
