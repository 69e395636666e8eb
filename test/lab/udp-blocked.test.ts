import test from 'ava';
import { home, host } from '../../lab/description.js';
import { allPairsPing, pairState } from '../../lab/network.js';
import { World } from '../../lab/world.js';

test('a home whose network blocks UDP joins, is reached by all, and comes back after kill -9', async (t) => {
  const world = await World.build({
    dc: host(),
    home: home({ mapping: ['igd2'] }),
    hotel: home({ nat: 'udp-blocked' }),
  });
  try {
    const nodes = ['dc', 'home', 'hotel'].map((name) => world.node(name));
    await Promise.all(nodes.map((node) => node.start()));
    await nodes[0]!.init();
    for (const node of nodes.slice(1)) await node.join(await nodes[0]!.invite());
    await allPairsPing(nodes, 15_000);
    await pairState(nodes[2]!, nodes[0]!, 'direct', 5000);
    const peer = await nodes[2]!.peer('dc');
    t.regex(peer?.tunnel?.endpoint ?? '', /^127\./, 'the tunnel goes over TCP');
    await nodes[2]!.restart('SIGKILL');
    await allPairsPing(nodes, 15_000);
    t.pass();
  } finally {
    world.remove();
  }
});
