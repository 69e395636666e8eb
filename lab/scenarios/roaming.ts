import { setTimeout as sleep } from 'node:timers/promises';
import type { Millis } from '../../src/time.js';
import { home, host } from '../description.js';
import { Download, offer } from '../download.js';
import { Flow } from '../flow.js';
import { renumber } from '../machines.js';
import { duration, type Narrator } from '../narrator.js';
import { allPairsPing, network } from '../network.js';
import type { WeftNode } from '../node.js';
import { until } from '../until.js';
import { World } from '../world.js';

const second = 1000;
/** How long a machine sleeps or a line is down. */
const away = 5 * second;

/** Milliseconds from the moment the network was back until packets sent after it had arrived, both ways. */
export interface RoamResult {
  readonly renumbered: Millis;
  readonly resumed: Millis;
  readonly lineBack: Millis;
  readonly anotherNetwork: Millis;
}

export interface RoamingResult extends RoamResult {
  readonly joinToPing: Millis;
  readonly readyToPing: Millis;
}

/**
 * A public host gets another address, sleeps, loses its line; a home's member goes to another network, with another address of
 * its own behind another outer one. Each time a file is being fetched over one TCP connection. Throws when that stands still.
 */
export async function roam(tell: Narrator, world: World): Promise<RoamResult> {
  const [anchor, mobile, homeA] = ['dc-1', 'mobile', 'home-a'].map((name) => world.node(name)) as [
    WeftNode,
    WeftNode,
    WeftNode,
  ];
  const renumbered = await measure(tell, 'a host changed its address', anchor, mobile, () =>
    renumber(mobile.host, withLast(mobile.host.address, 99)),
  );
  const resumed = await measure(tell, 'a machine slept for 5 s', anchor, mobile, async () => {
    process.kill(mobile.pid!, 'SIGSTOP');
    await sleep(away);
    process.kill(mobile.pid!, 'SIGCONT');
  });
  const lineBack = await measure(tell, 'a line was down for 5 s', anchor, mobile, async () => {
    const { namespace } = mobile.host;
    await namespace.must(['ip', 'link', 'set', 'eth0', 'down']);
    await sleep(away);
    await namespace.must(['ip', 'link', 'set', 'eth0', 'up']);
    await renumber(mobile.host, withLast(mobile.host.address, 99));
  });
  const anotherNetwork = await measure(tell, 'from Wi-Fi to LTE', anchor, homeA, async () => {
    const router = homeA.host.router!;
    await router.switchOff();
    await homeA.host.namespace.must(['ip', '-4', 'addr', 'flush', 'dev', 'eth0', 'scope', 'global']);
    await sleep(second);
    await router.switchOn(withLast(router.address, 99));
    await renumber(homeA.host, withLast(homeA.host.address, 98));
  });
  return { renumbered, resumed, lineBack, anotherNetwork };
}

/** All of `roam`, and how soon a node that joins or restarts is there. */
export async function roaming(tell: Narrator): Promise<RoamingResult> {
  const world = await World.build(roamingInternet);
  try {
    const nodes = await network(world, ['dc-1', 'mobile']);
    const [anchor, homeA] = ['dc-1', 'home-a'].map((name) => world.node(name)) as [WeftNode, WeftNode];
    await homeA.start();
    const token = await anchor.invite();
    const joining = performance.now();
    await homeA.join(token);
    await allPairsPing([...nodes, homeA], 10 * second);
    const joinToPing = performance.now() - joining;
    tell.good(`weft join to the first ping of every pair: ${duration(joinToPing)}`);
    const roamed = await roam(tell, world);
    await homeA.restart('SIGKILL');
    const ready = performance.now();
    await allPairsPing([anchor, homeA], 10 * second);
    const readyToPing = performance.now() - ready;
    tell.good(`restarted: first ping ${duration(readyToPing)} after the daemon is ready`);
    return { ...roamed, joinToPing, readyToPing };
  } finally {
    world.remove();
  }
}

/** What `roam` needs, in a network. */
export const roamingInternet = { 'dc-1': host(), mobile: host(), 'home-a': home() };

/** Flows both ways: what the mover sends shows its new address, what it gets must find it. */
async function measure(
  tell: Narrator,
  what: string,
  anchor: WeftNode,
  mover: WeftNode,
  change: () => Promise<void>,
): Promise<Millis> {
  const moverAddress = await mover.address();
  const file = await offer(mover.host, moverAddress, 1_000_000_000);
  const download = new Download(anchor.host, file.url);
  const flows = [
    new Flow(mover.host, anchor.host, await anchor.address()),
    new Flow(anchor.host, mover.host, moverAddress),
  ];
  try {
    await sleep(second);
    await change();
    const back = performance.now();
    const gaps = await Promise.all(
      flows.map(async (flow) => {
        if (await flow.arrives(10 * second)) return performance.now() - back;
        throw new Error(`${what}: nothing came for 10 s\n${anchor.tail()}\n${mover.tail()}`);
      }),
    );
    const took = Math.max(...gaps);
    const { octets } = download;
    await until(
      `${what}: the TCP connection goes on`,
      () => download.octets,
      (now) => now > octets || download.took > 0,
      15 * second,
    );
    tell.good(
      `${what}: traffic again after ${duration(took)}, the TCP connection after ${duration(performance.now() - back)}`,
    );
    return took;
  } finally {
    download.stop();
    file.stop();
    for (const flow of flows) flow.stop();
  }
}

function withLast(address: string, octet: number): string {
  return address.replace(/\d+$/, String(octet));
}
