import { setTimeout as sleep } from 'node:timers/promises';
import test from 'ava';
import { host } from '../../lab/description.js';
import { Flow } from '../../lab/flow.js';
import { renumber } from '../../lab/machines.js';
import { allPairsPing, network } from '../../lab/network.js';
import { World } from '../../lab/world.js';

/** `npm run verify` holds it to 1 s, and has sleep, Wi-Fi to LTE and TCP besides; here other tests run at the same time. */
const limit = 3000;

test('29: a host changes its address, and loses its line twice: traffic is back soon each time', async (t) => {
  const world = await World.build({ 'dc-1': host(), mobile: host() });
  try {
    const nodes = await network(world, ['dc-1', 'mobile']);
    await allPairsPing(nodes, 10_000);
    const { host: mobile } = world.node('mobile');
    const flow = new Flow(world.node('dc-1').host, mobile, await world.node('mobile').address());
    for (const [octet, away] of [
      [91, 0],
      [92, 2500],
      [93, 2500],
    ] as const) {
      if (away > 0) {
        await mobile.namespace.must(['ip', 'link', 'set', 'eth0', 'down']);
        await sleep(away);
        await mobile.namespace.must(['ip', 'link', 'set', 'eth0', 'up']);
      }
      await renumber(mobile, mobile.address.replace(/\d+$/, String(octet)));
      const back = performance.now();
      t.true(await flow.arrives(limit), `not within ${limit} ms at .${octet}`);
      t.log(`${away} ms away: traffic again after ${Math.round(performance.now() - back)} ms`);
    }
    flow.stop();
  } finally {
    world.remove();
  }
});
