import { setTimeout as sleep } from 'node:timers/promises';
import { type Millis, second } from '../../src/time.js';
import { home, host, line } from '../description.js';
import { Download, offer } from '../download.js';
import { Flow } from '../flow.js';
import { type Host, renumber } from '../machines.js';
import { duration, type Narrator } from '../narrator.js';
import { allPairsPing, network } from '../network.js';
import type { WeftNode } from '../node.js';
import { until } from '../until.js';
import { World } from '../world.js';

/** How long a line is down. */
const away = 5 * second;
/** How long a machine sleeps: all others have given it up by then. On its own clock it is a night. */
const asleep = 16 * second;
/** For the daemon of a machine that is to sleep: a stop of it is on its clocks what a suspend of 8 h is. */
export const sleepsANight = '[force]\nsleep-seconds = 28800\nworkers = 2\n';

/** Milliseconds from the moment the network was back until packets sent after it had arrived, both ways. */
export interface RoamResult {
  readonly renumbered: Millis;
  readonly resumed: Millis;
  readonly lineBack: Millis;
  readonly anotherDevice: Millis;
  readonly anotherNetwork: Millis;
}

export interface RoamingResult extends RoamResult {
  readonly joinToPing: Millis;
  readonly readyToPing: Millis;
}

/**
 * A public host gets another address, sleeps, loses its line, goes from one device and line to another; a home's member goes to
 * another network, with another address of its own behind another outer one. Each time a file is being fetched over one TCP
 * connection. Throws when that stands still.
 */
async function roam(tell: Narrator, world: World): Promise<RoamResult> {
  const [anchor, mobile, homeA] = ['dc-1', 'mobile', 'home-a'].map((name) => world.node(name)) as [
    WeftNode,
    WeftNode,
    WeftNode,
  ];
  const renumbered = await measure(tell, 'a host changed its address', anchor, mobile, () =>
    renumber(mobile.host, withLast(mobile.host.address, 99)),
  );
  const resumed = await measure(tell, 'a machine slept for the night', anchor, mobile, () => nap(mobile, asleep));
  const lineBack = await measure(tell, 'a line was down for 5 s', anchor, mobile, async () => {
    const { namespace } = mobile.host;
    await namespace.must(['ip', 'link', 'set', 'eth0', 'down']);
    await sleep(away);
    await namespace.must(['ip', 'link', 'set', 'eth0', 'up']);
    await renumber(mobile.host, withLast(mobile.host.address, 99));
  });
  const anotherDevice = await measure(tell, 'from one device to another', anchor, mobile, () =>
    changeDevice(mobile.host, second),
  );
  const anotherNetwork = await measure(tell, 'from Wi-Fi to LTE', anchor, homeA, async () => {
    const router = homeA.host.router!;
    await router.switchOff();
    await homeA.host.namespace.must(['ip', '-4', 'addr', 'flush', 'dev', 'eth0', 'scope', 'global']);
    await sleep(second);
    await router.switchOn(withLast(router.address, 99));
    await renumber(homeA.host, withLast(homeA.host.address, 98));
  });
  return { renumbered, resumed, lineBack, anotherDevice, anotherNetwork };
}

/** All of `roam`, and how soon a node that joins or restarts is there. */
export async function roaming(tell: Narrator): Promise<RoamingResult> {
  const world = await World.build(roamingInternet);
  try {
    await unplug(world.host('mobile'));
    const nodes = await network(world, ['dc-1', 'mobile'], sleepsANight);
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

/** What `roam` needs, in a network; `unplug` the mobile first. */
const roamingInternet = { 'dc-1': host(), mobile: host(), 'home-a': home(), lte: line('dc-1', 'mobile') };

/**
 * What a suspend does to a daemon whose config has `sleepsANight`: nothing of it runs, its machine hears nothing, and then it
 * is hours later while its timers stand as they stood. Only the suspend itself, which would be the whole lab's, is not the
 * kernel's: what sleeps here must not be what sends, for its TCP stays awake.
 */
export async function nap(node: WeftNode, time: Millis): Promise<void> {
  const { pid, host } = node;
  // First deaf, then asleep: what waited in its sockets would be answered hours late, and taken for a path as slow.
  await host.wire?.cut();
  await sleep(100);
  process.kill(pid!, 'SIGSTOP');
  await sleep(time);
  await host.wire?.heal();
  process.kill(pid!, 'SIGCONT');
}

/** The other device of a host with a line of its own to the anchor: not there yet. */
export async function unplug({ namespace }: Host): Promise<void> {
  await namespace.must(['ip', 'link', 'set', 'line0', 'down']);
}

/** The Wi-Fi goes; some time later another device has a way out, by another address on another line. */
export async function changeDevice({ namespace }: Host, pause: Millis): Promise<void> {
  await namespace.must(['ip', 'link', 'set', 'eth0', 'down']);
  await sleep(pause);
  await namespace.must(['ip', 'link', 'set', 'line0', 'up']);
  await namespace.must(['ip', 'route', 'replace', 'default', 'via', '11.128.0.1']);
}

/** Flows both ways: what the mover sends shows its new address, what it gets must find it. */
async function measure(
  tell: Narrator,
  what: string,
  anchor: WeftNode,
  mover: WeftNode,
  change: () => Promise<void>,
): Promise<Millis> {
  const anchorAddress = await anchor.address();
  const file = await offer(anchor.host, anchorAddress, 1_000_000_000);
  const download = new Download(mover.host, file.url);
  const flows = [
    new Flow(mover.host, anchor.host, anchorAddress),
    new Flow(anchor.host, mover.host, await mover.address()),
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
      // A sender doubles its patience (RFC 6298 §5.5): after 16 s without an answer it may wait as long again, and a little.
      25 * second,
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
