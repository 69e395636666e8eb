import { setTimeout as sleep } from 'node:timers/promises';
import { type Millis, second } from '../../src/time.js';
import { host } from '../description.js';
import { Flow } from '../flow.js';
import { duration, type Narrator } from '../narrator.js';
import { allPairsPing, network, pairState } from '../network.js';
import { World } from '../world.js';

/**
 * The relay in use dies without a word: its line drops everything in both directions. A flow of 200 datagrams a second
 * between two machines that cannot meet directly shows how long nothing came. Then the line heals, and it is done again
 * with whoever carries the flow by then. Gives the outages.
 */
export async function failover(tell: Narrator, times: number): Promise<Millis[]> {
  const world = await World.build({
    a: host({ wire: { delay: 5 } }),
    b: host({ wire: { delay: 5 } }),
    c: host({ wire: { delay: 7 } }),
    d: host({ wire: { delay: 5 } }),
  });
  try {
    await world.separate('a', 'd');
    const nodes = await network(world, ['b', 'c', 'a', 'd']);
    const [a, d] = [world.node('a'), world.node('d')];
    await allPairsPing(nodes, 20 * second);
    await pairState(a, d, 'relayed', 10 * second);
    tell.step('a and d reach each other through b or c');
    const flow = new Flow(a.host, d.host, await d.address());
    const outages: Millis[] = [];
    for (let i = 0; i < times; i++) {
      await sleep(2 * second);
      const calm = flow.takeLongestGap();
      const relay = (await a.peer('d'))?.via;
      if (!relay) throw new Error('a has no relay to d');
      await world.wire(relay).cut();
      if (!(await flow.arrives(15 * second))) throw new Error(`nothing came for 15 s after ${relay} fell silent`);
      await sleep(3 * second);
      const outage = flow.takeLongestGap();
      outages.push(outage);
      const now = (await a.peer('d'))?.via;
      tell.good(
        `${relay} fell silent: ${duration(outage)} without a packet (${duration(calm)} before), now via ${now}`,
      );
      await world.wire(relay).heal();
      await allPairsPing(nodes, 20 * second);
    }
    tell.step(`${flow.sent - flow.received} of ${flow.sent} datagrams were lost`);
    flow.stop();
    return outages;
  } finally {
    world.remove();
  }
}
