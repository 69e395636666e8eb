import test from 'ava';
import { home, host } from '../../lab/description.js';
import { allPairsPing, pairState } from '../../lab/network.js';
import { World } from '../../lab/world.js';

const config = '[underlay]\nipv6 = true\n';

test('a pair that only IPv6 joins is direct over it; where IPv4 serves, it stays the way', async (t) => {
  const world = await World.build({
    anchor: host({ ipv6: true }),
    far: host({ ipv6: true }),
    home: home({ ipv6: true, nat: 'symmetric' }),
    old: host(),
  });
  try {
    await world.separate('far', 'home');
    const [anchor, far, inside, old] = ['anchor', 'far', 'home', 'old'].map((name) => world.node(name)) as [
      ReturnType<World['node']>,
      ReturnType<World['node']>,
      ReturnType<World['node']>,
      ReturnType<World['node']>,
    ];
    const nodes = [anchor, far, inside, old];
    await Promise.all(nodes.map((node) => node.start(node === old ? {} : { config })));
    await anchor.init();
    for (const node of nodes.slice(1)) await node.join(await anchor.invite());
    await allPairsPing(nodes, 10_000);
    await pairState(inside, far, 'direct', 10_000);
    await pairState(old, far, 'direct', 10_000);
    const endpointAt = async (one: typeof far, other: typeof far) =>
      (await one.peer(other.name))?.tunnel?.endpoint ?? 'none';
    t.is(await endpointAt(inside, far), `[${far.host.ipv6}]:16696`);
    t.regex(await endpointAt(far, inside), /^\[2a0b:/);
    t.is(await endpointAt(old, far), `${far.host.address}:16696`);

    const moved = inside.host.ipv6!.replace(/[^:]+$/, 'beef');
    const { namespace } = inside.host;
    await namespace.must(['ip', '-6', 'addr', 'add', `${moved}/64`, 'dev', 'eth0', 'nodad']);
    await namespace.must(['ip', '-6', 'addr', 'del', `${inside.host.ipv6}/64`, 'dev', 'eth0']);
    t.log(`another IPv6 address: pings again after ${Math.round(await allPairsPing([inside, far], 10_000))} ms`);
    t.regex(await endpointAt(far, inside), /^\[2a0b:/);
  } finally {
    world.remove();
  }
});
