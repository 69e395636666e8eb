import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import type { DoctorCheck } from '../../daemon/api.js';
import { home, host } from '../../lab/description.js';
import { Flow } from '../../lab/flow.js';
import { allPairsPing, pairState } from '../../lab/network.js';
import { until } from '../../lab/until.js';
import { World } from '../../lab/world.js';
import { makeCertificate, writeCertificate } from '../helpers/tls-certificate.js';
import { capture } from './capture.js';
import { tcpOpenings } from './pcap.js';
import { inspected, letOutAll, letOutTlsAlone, tlsCalls, watchHeadStart } from './tls-gateway.js';

const { serial } = test;
const world = await World.build({
  dc: host(),
  web: host(),
  home: home({ mapping: ['igd2'] }),
  hotel: home({ nat: 'udp-blocked', members: ['hotel', 'suite'] }),
  office: home(),
});
test.after.always(() => world.remove());
const [dc, web, hotel, suite, office] = ['dc', 'web', 'hotel', 'suite', 'office'].map((name) => world.node(name)) as [
  ReturnType<World['node']>,
  ReturnType<World['node']>,
  ReturnType<World['node']>,
  ReturnType<World['node']>,
  ReturnType<World['node']>,
];

/**
 * Plain TCP is enough, so TLS is left alone; but for a daemon that had no answer over TCP when the head start was over, as on
 * a machine that lets it wait for so long.
 */
async function overPlainTcp(t: ExecutionContext, node: typeof dc): Promise<void> {
  const { transport, endpoint } = (await node.peer('dc'))!.tunnel!;
  const { early, late } = await tlsCalls(node.host.namespace);
  t.is(early, 0, `${node.name} calls over TLS in the head start of plain TCP`);
  if (late > 0) t.log(`${node.name} called over TLS after it`);
  else t.deepEqual([transport, endpoint], ['tcp', `${dc.host.address}:16696`], node.name);
}

serial('27: a home whose network blocks UDP joins, is reached by all, and comes back after kill -9', async (t) => {
  const { certificate, key } = writeCertificate(world.folder, makeCertificate('weft.example.net'));
  const atHome = world.node('home');
  const nodes = [dc, atHome, hotel];
  const tls = `[tls]\nlisten = "0.0.0.0:443"\ncertificate = "${certificate}"\nkey = "${key}"\n`;
  await Promise.all(nodes.map((node) => node.start(node === dc ? { config: tls } : {})));
  await dc.init();
  for (const node of nodes.slice(1)) await node.join(await dc.invite());
  // Joining had calls of its own; the tunnel is called over streams when UDP alone has had a second.
  await watchHeadStart(hotel.host.namespace);
  await allPairsPing(nodes, 15_000);
  await pairState(hotel, dc, 'direct', 15_000);
  await overPlainTcp(t, hotel);
  await pairState(hotel, atHome, 'direct', 15_000);
  const { tunnel } = (await hotel.peer('home'))!;
  t.is(tunnel?.transport, 'tcp', 'its router maps the port for TCP as well');
  t.is(tunnel?.endpoint, `${world.router('home').address}:16696`);
  t.deepEqual((await atHome.status()).portMapping.tcp, { mapped: true, reason: null });
  // Who is found on the LAN, where UDP passes, does not end what goes to the outside.
  await suite.start();
  await suite.join(await dc.invite());
  await watchHeadStart(suite.host.namespace);
  await pairState(suite, hotel, 'direct', 15_000);
  t.is((await suite.peer('hotel'))?.tunnel?.transport, 'udp');
  await hotel.restart('SIGKILL');
  await Promise.all([hotel, suite].map((node) => pairState(node, dc, 'direct', 15_000)));
  for (const node of [hotel, suite]) await overPlainTcp(t, node);
  await allPairsPing([...nodes, suite], 15_000);
  await suite.kill('SIGTERM');
});

serial(
  '27: where only what begins as TLS to port 443 gets out, a node joins over it, and leaves it when UDP passes',
  async (t) => {
    const gateway = world.router('office').namespace;
    await letOutTlsAlone(gateway);
    // Port 443 alone is not enough: what its node says there is no TLS.
    await web.start({ config: 'listen = "0.0.0.0:443"\n' });
    await web.join(await dc.invite());
    const seen = await capture(office.host.namespace, 'eth0', join(world.folder, 'office.pcap'), 'tcp');
    await office.start();
    const began = performance.now();
    await office.join(await dc.invite());
    const joined = performance.now() - began;
    await allPairsPing([dc, web, office], 15_000);
    t.log(`joined after ${Math.round(joined)} ms, all reached after ${Math.round(performance.now() - began)} ms`);
    await pairState(office, dc, 'direct', 15_000);
    const there = (await office.peer('dc'))?.tunnel;
    t.is(there?.transport, 'tls');
    t.is(there?.endpoint, `${dc.host.address}:443`);
    t.is((await dc.peer('office'))?.tunnel?.transport, 'tls');
    t.like((await office.status()).tunnels, { up: 1, overTcp: 0, overTls: 1 });
    t.regex((await office.run('status')).stdout, /1 over TLS/);
    t.regex((await dc.run('status')).stdout, /served at 0\.0\.0\.0:443, told to members: [\d.]+:443/);
    t.true((await office.run('peers')).stdout.includes(`tls ${dc.host.address}:443`));
    const { stdout } = await office.run('doctor', '--json');
    const line = (JSON.parse(stdout) as DoctorCheck[]).find(({ code }) => code === 'udp-out')!;
    t.regex(line.evidence, /over TLS only/);

    const { value } = await until(
      'plain TCP was refused on both ports',
      () => inspected(gateway),
      ({ notHttps, notTls }) => notHttps > 0 && notTls > 0,
      15_000,
    );
    t.true(value.tls > 0, JSON.stringify(value));
    await seen.stop();
    const openings = tcpOpenings(seen.file);
    const to = (address: string) => openings.filter((one) => one.to === `${address}:443`).map(({ payload }) => payload);
    t.true(to(dc.host.address).length > 0 && to(web.host.address).length > 0);
    for (const payload of to(dc.host.address))
      t.deepEqual([payload[0], payload[1], payload[5]], [0x16, 0x03, 1], 'a ClientHello');
    for (const payload of to(dc.host.address))
      t.true(Buffer.from(payload).includes('weft.example.net'), 'with the name it was told');
    for (const payload of to(web.host.address)) t.not(payload[0], 0x16, 'nothing like TLS, and refused');

    // With nobody else to try, UDP is noticed by asking the very node the tunnel over TLS leads to.
    await Promise.all([web, hotel, world.node('home')].map((node) => node.kill('SIGTERM')));
    const ways = [
      [office, dc],
      [dc, office],
    ] as const;
    const flows = await Promise.all(ways.map(async ([from, to]) => new Flow(from.host, to.host, await to.address())));
    await letOutAll(gateway);
    const passed = performance.now();
    await until(
      'UDP again, at both ends',
      async () => [(await office.peer('dc'))?.tunnel?.transport, (await dc.peer('office'))?.tunnel?.transport],
      (transports) => transports.every((transport) => transport === 'udp'),
      20_000,
      () => `${office.tail()}\n${dc.tail()}`,
    );
    t.log(`UDP again ${Math.round(performance.now() - passed)} ms after it passed`);
    const sent = flows.map((flow) => flow.sent);
    await allPairsPing([dc, office], 15_000);
    for (const [i, flow] of flows.entries()) t.deepEqual(flow.missing(sent[i]!), [], ways[i]![0].name);
    for (const flow of flows) flow.stop();
    await until(
      'no stream is left',
      async () => (await office.status()).tunnels,
      ({ overTls, overTcp }) => overTls + overTcp === 0,
      15_000,
    );
  },
);
