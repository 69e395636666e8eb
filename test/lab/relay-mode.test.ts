import { setTimeout as sleep } from 'node:timers/promises';
import test from 'ava';
import { host } from '../../lab/description.js';
import { udpOn } from '../../lab/machines.js';
import { allPairsPing } from '../../lab/network.js';
import { until } from '../../lab/until.js';
import { World } from '../../lab/world.js';

const second = 1000;
const limitMbit = 4;
const noMapping = '[port-mapping]\nenabled = false\n';

/** `a` and `d` cannot meet; `b` and `c` reach everybody. */
test('relay.mode: who says no is no relay for anybody, who says limited carries no more than that', async (t) => {
  const world = await World.build({ a: host(), b: host(), c: host(), d: host() });
  try {
    await world.separate('a', 'd');
    const [a, b, c, d] = ['a', 'b', 'c', 'd'].map((name) => world.node(name));
    await b!.start({ config: `${noMapping}[relay]\nmode = "no"\n` });
    await b!.init();
    for (const node of [a!, d!]) {
      await node.start({ config: noMapping });
      await node.join(await b!.invite());
    }
    await until(
      'a and d are neighbours of b and know each other',
      async () => [await a!.peers(), await d!.peers()],
      (peers) =>
        peers.every((list) => list.length === 2 && list.some(({ name, state }) => name === 'b' && state === 'direct')),
      10 * second,
    );
    await sleep(2 * second);
    const own = async () => (await a!.routes()).map((row) => row.origin).sort();
    t.deepEqual(await own(), ['a', 'b'], 'b announces only its own prefix');
    t.regex((await a!.peer('d'))!.state, /unreachable|connecting/);

    await c!.start({ config: noMapping });
    await c!.join(await b!.invite());
    await allPairsPing([a!, d!], 10 * second);
    t.is((await a!.peer('d'))!.via, 'c', 'through the one that relays');
    t.is((await b!.status()).drops['relay-refused'] ?? 0, 0, 'and nothing was even tried through the other');

    await c!.kill('SIGTERM');
    await b!.kill('SIGTERM');
    await b!.start({ config: `${noMapping}[relay]\nmode = "limited"\nlimit-mbit = ${limitMbit}\n` });
    await allPairsPing([a!, d!], 20 * second);
    const measured = await through(world, await d!.address());
    t.log(`${measured.toFixed(2)} Mbit/s of ${limitMbit} allowed`);
    t.true(measured < limitMbit * 1.15, `${measured} Mbit/s`);
    t.true(measured > limitMbit * 0.2, `${measured} Mbit/s`);
    t.true((await b!.status()).drops['relay-limit']! > 0);
  } finally {
    world.remove();
  }
});

/** How many Mbit/s of four flows, far more than allowed together, arrive from a at d in three seconds. */
async function through(world: World, address: string): Promise<number> {
  const to = udpOn(world.host('d'), 7001, '::');
  let octets = 0;
  to.on('message', (bytes) => {
    octets += bytes.length;
  });
  const flows = Array.from({ length: 4 }, () => udpOn(world.host('a'), 0, '::'));
  const payload = Buffer.alloc(1000);
  const send = setInterval(() => {
    for (const flow of flows) for (let i = 0; i < 3; i++) flow.send(payload, 7001, address, () => {});
  }, 5);
  await sleep(second); // what the bucket had saved up
  const before = octets;
  const started = performance.now();
  await sleep(3 * second);
  const rate = (8 * (octets - before)) / 1000 / (performance.now() - started);
  clearInterval(send);
  for (const flow of flows) flow.close();
  to.close();
  return rate;
}
