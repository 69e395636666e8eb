import { setTimeout as sleep } from 'node:timers/promises';
import type { Peer } from '../daemon/api.js';
import { second } from '../src/time.js';
import { home, host } from './description.js';
import { Download, offer } from './download.js';
import { duration, Narrator } from './narrator.js';
import { allPairsPing, pairState } from './network.js';
import type { WeftNode } from './node.js';
import { requireLab } from './requirements.js';
import { table } from './table.js';
import { until } from './until.js';
import { World } from './world.js';

const megabytes = 60;
/** The homes' lines, in Mbit/s: the download lasts long enough to lose a relay in the middle. */
const lineRate = 50;

const picture = `
      dc-1 ●───────────────● dc-2        data centres: public addresses
           │ ╲           ╱ │
           │   ╲       ╱   │
           │     ╲   ╱     │             encrypted UDP tunnels
           │       ╳       │
           │     ╱   ╲     │
   router ┌┴┐ ╱         ╲ ┌┴┐ router     NAT, real miniupnpd
          └┬┘             └┬┘
    home-a ●               ● home-b      no line between the homes
`;

function peerTable(peers: readonly Peer[]): string {
  return table(
    ['PEER', 'ADDRESS', 'STATE', 'VIA', 'ENDPOINT', 'RTT'],
    peers.map(({ name, address, state, via, tunnel }) => [
      name,
      address,
      state,
      via,
      tunnel?.endpoint,
      tunnel && `${tunnel.rttMs.toFixed(1)} ms`,
    ]),
  );
}

/**
 * The relay that carries the download, by the counters, once the node that sends says the same: each end chooses its
 * own way, and may have changed it while we counted.
 */
async function relayInUse(from: WeftNode, to: WeftNode): Promise<{ name: string; octets: number }> {
  const seen: string[] = [];
  for (let look = 0; look < 5; look++) {
    const relay = await busiest(to);
    const said = (await from.peer(to.name))?.via;
    if (relay.name === said) return relay;
    seen.push(`the counters say ${relay.name}, weft says ${said}`);
  }
  throw new Error(seen.join('; '));
}

/** The neighbour whose tunnel moved the most octets while we looked: the relay in use, whatever is said of it. */
async function busiest(node: WeftNode): Promise<{ name: string; octets: number }> {
  const octets = async () =>
    new Map((await node.peers()).map(({ name, tunnel }) => [name, (tunnel?.rxBytes ?? 0) + (tunnel?.txBytes ?? 0)]));
  const before = await octets();
  await sleep(second);
  const moved = [...(await octets())].map(([name, now]) => ({ name, octets: now - (before.get(name) ?? 0) }));
  return moved.sort((a, b) => b.octets - a.octets)[0]!;
}

async function demo(tell: Narrator): Promise<void> {
  console.log(picture);
  const line = { rate: lineRate, delay: 5, jitter: 1 };
  const world = await World.build({
    'dc-1': host({ wire: { delay: 5 } }),
    'dc-2': host({ wire: { delay: 8 } }),
    'home-a': home({ mapping: ['igd2', 'nat-pmp'], wire: line }),
    'home-b': home({ mapping: ['igd1'], wire: line }),
  });
  await world.separate('home-a', 'home-b');
  tell.step('an Internet of four places stands in network namespaces on this machine');

  const names = ['dc-1', 'dc-2', 'home-a', 'home-b'];
  const nodes = names.map((name) => world.node(name));
  const [first, ...others] = nodes as [WeftNode, ...WeftNode[]];
  await Promise.all(nodes.map((node) => node.start()));
  tell.step('weftd runs on each of them');
  const { network } = await first.init();
  tell.step(`dc-1$ weft init`);
  tell.show(`network ${network.id}, ${network.prefix}`);
  for (const node of others) {
    const token = await first.invite();
    await node.join(token);
    tell.step(`${node.name}$ weft join ${token.slice(0, 12)}…`);
  }
  const pinged = await allPairsPing(nodes, 20 * second);
  tell.good(`every machine pings every other, ${duration(pinged)} after the last join`);

  const rows = await Promise.all(nodes.map((node) => node.status()));
  tell.show(
    table(
      ['NODE', 'ADDRESS', 'PREFIX', 'ROUTER'],
      rows.map(({ node, portMapping }) => [
        node!.name,
        node!.address,
        node!.prefix,
        portMapping.state === 'mapped'
          ? `${portMapping.externalAddress}:${portMapping.externalPort} by ${portMapping.protocol}`
          : portMapping.state,
      ]),
    ),
  );
  const [homeA, homeB] = [world.node('home-a'), world.node('home-b')];
  await pairState(homeA, homeB, 'relayed', 20 * second);
  tell.step('home-b$ weft peers');
  tell.show(peerTable(await homeB.peers()));
  tell.step('home-b$ weft routes');
  tell.show(
    table(
      ['PREFIX', 'ORIGIN', 'NEXT HOP', 'METRIC', 'SELECTED', 'FEASIBLE'],
      (await homeB.routes()).map(({ prefix, origin, nextHop, metric, selected, feasible }) => [
        prefix,
        origin,
        nextHop,
        metric,
        selected ? 'yes' : '',
        feasible ? 'yes' : '',
      ]),
    ),
  );

  const { address } = await homeA.app('files');
  const file = await offer(homeA.host, address, megabytes * 1_000_000);
  tell.step('home-a$ weft app add files');
  tell.show(`${address}: a stable address for one app, and a web server listens on it`);
  tell.step(`home-b$ curl ${file.url}     # ${megabytes} MB over lines of ${lineRate} Mbit/s`);
  const download = new Download(homeB.host, file.url);
  await until(
    'the download is well under way',
    () => download.octets,
    (octets) => octets > (megabytes * 1_000_000) / 6,
    30 * second,
    () => homeB.tail(),
  );
  const relay = await relayInUse(homeA, homeB);
  tell.step(
    `${relay.name} carries it (${(relay.octets / 1e6).toFixed(1)} MB in the last second); so says weft on home-a`,
  );

  const paused = download.longestPause;
  // Silence first, as when the power goes: no machine tells the others that a port is closed.
  await world.wire(relay.name).cut();
  await world.node(relay.name).kill('SIGKILL');
  tell.step(`${relay.name} loses its power at ${(download.octets / 1e6).toFixed(0)} MB`);
  await download.finished;
  if (download.octets !== file.octets || download.checksum() !== file.checksum)
    throw new Error('the file is not whole');
  const now = (await homeA.peer('home-b'))?.via;
  tell.good(`the download ended whole after ${duration(download.took)}: ${megabytes} MB, SHA-256 ${file.checksum}`);
  tell.good(`longest pause ${duration(download.longestPause)} (before the loss: ${duration(paused)}); now via ${now}`);
  tell.step('home-b$ weft peers');
  tell.show(peerTable(await homeB.peers()));
  world.remove();
}

requireLab();
const tell = new Narrator();
try {
  await demo(tell);
  process.exit(0);
} catch (error) {
  tell.bad(error instanceof Error ? error.message : String(error));
  process.exit(1);
}
