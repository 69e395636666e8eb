import test from 'ava';
import { seededRandom } from '../../src/random.js';
import { BabelNetwork } from './babel-network.js';
import { infinity, readPacket } from './packet-view.js';
import { randomTunnels } from './topology.js';

test('when a network starts, a node tells a neighbour of most destinations once', (t) => {
  const nodes = 60;
  const random = seededRandom(7);
  const edges = randomTunnels(nodes, 5, random);
  const world = new BabelNetwork({ seed: 7, nodes, recorded: false, watch: [] });
  let updates = 0;
  world.network.observe({
    delivered: (_from, _to, bytes) => {
      for (const seen of readPacket(bytes)) if (seen.kind === 'update' && seen.metric < infinity) updates++;
    },
  });
  for (const [a, b] of edges) {
    const quality = { delay: 5 + 45 * random.unit(), jitter: 2 };
    world.network.at(500 * random.unit(), () => world.network.link(a, b, quality));
  }
  t.true(
    world.runUntil(() => world.missing === 0, 10_000),
    'all is reachable within 10 s',
  );
  world.runTo(world.network.now + 5000);
  t.true(
    world.network.nodes.every(({ machine }) => !machine.counts().has('signature-rate')),
    'all signatures are checked',
  );
  const each = updates / (2 * edges.length * nodes);
  t.log(`${each.toFixed(2)} updates for each destination and neighbour`);
  t.true(each < 1.1); // told at once, every better way would be told again: 1.9
});
