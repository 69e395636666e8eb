import { setTimeout as sleep } from 'node:timers/promises';
import type { Millis } from '../../src/time.js';
import { home, host } from '../description.js';
import { Flow } from '../flow.js';
import { renumber } from '../machines.js';
import { duration, type Narrator } from '../narrator.js';
import { allPairsPing, network } from '../network.js';
import type { WeftNode } from '../node.js';
import { World } from '../world.js';

const second = 1000;

/** What changes of the underlay cost a flow, in milliseconds without a packet after the network was back. */
export interface RoamingResult {
  readonly hostRenumbered: Millis;
  readonly routerRenumbered: Millis;
  readonly joinToPing: Millis;
  readonly readyToPing: Millis;
}

/** A public host and a home change their outer addresses while traffic flows; a node joins, and restarts. */
export async function roaming(tell: Narrator): Promise<RoamingResult> {
  const world = await World.build({ 'dc-1': host(), mobile: host(), 'home-a': home() });
  try {
    const nodes = await network(world, ['dc-1', 'mobile']);
    const [anchor, mobile, homeA] = ['dc-1', 'mobile', 'home-a'].map((name) => world.node(name));
    await homeA!.start();
    const token = await anchor!.invite();
    const joining = performance.now();
    await homeA!.join(token);
    await allPairsPing([...nodes, homeA!], 10 * second);
    const joinToPing = performance.now() - joining;
    tell.good(`weft join to the first ping of every pair: ${duration(joinToPing)}`);

    const address = await anchor!.address();
    // Both ways: what the mover sends shows its new address, what it gets must find it.
    const measure = async (mover: WeftNode, change: () => Promise<void>) => {
      const out = new Flow(mover.host, anchor!.host, address);
      const back = new Flow(anchor!.host, mover.host, await mover.address());
      await sleep(second);
      await change();
      const gaps = await Promise.all(
        [out, back].map(async (flow) => {
          flow.takeLongestGap();
          const started = performance.now();
          if (!(await flow.arrives(10 * second))) throw new Error(`${mover.name}: nothing came for 10 s`);
          return performance.now() - started;
        }),
      );
      out.stop();
      back.stop();
      return Math.max(...gaps);
    };
    const hostRenumbered = await measure(mobile!, () =>
      renumber(mobile!.host, mobile!.host.address.replace(/\d+$/, '99')),
    );
    tell.good(`a host changed its address: traffic again after ${duration(hostRenumbered)}`);
    const router = world.router('home-a');
    const routerRenumbered = await measure(homeA!, async () => {
      await router.switchOff();
      await router.switchOn(router.address.replace(/\d+$/, '99'));
    });
    tell.good(`a router came back with another address: traffic again after ${duration(routerRenumbered)}`);

    await homeA!.restart('SIGKILL');
    const ready = performance.now();
    await allPairsPing([anchor!, homeA!], 10 * second);
    const readyToPing = performance.now() - ready;
    tell.good(`restarted: first ping ${duration(readyToPing)} after the daemon is ready`);
    return { hostRenumbered, routerRenumbered, joinToPing, readyToPing };
  } finally {
    world.remove();
  }
}
