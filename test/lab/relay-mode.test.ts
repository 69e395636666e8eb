import { setTimeout as sleep } from 'node:timers/promises';
import test from 'ava';
import { State } from '../../daemon/state.js';
import { host } from '../../lab/description.js';
import { udpOn } from '../../lab/machines.js';
import { allPairsPing } from '../../lab/network.js';
import type { WeftNode } from '../../lab/node.js';
import { until } from '../../lab/until.js';
import { World } from '../../lab/world.js';
import { decodeRelayedMonths, encodeRelayedMonths } from '../../src/control/relay-quota.js';
import { second } from '../../src/time.js';

const limitMbit = 4;
const noMapping = '[port-mapping]\nenabled = false\n';

/** `a` and `d` cannot meet; `b` and `c` reach everybody. */
test('relay.mode: who says no is no relay for anybody, who says limited carries no more than that', async (t) => {
  const world = await World.build({ a: host(), b: host(), c: host(), d: host() }, { cold: true });
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

/** `a` and `d` cannot meet; `b` has 3 MB left of its month, `c` comes when they are used up. */
test('relay.limit-gb-month: used up it is told, nothing more passes, and what goes on goes elsewhere', async (t) => {
  const allowed = 1e9;
  const world = await World.build({ a: host(), b: host(), c: host(), d: host() }, { cold: true });
  try {
    await world.separate('a', 'd');
    const [a, b, c, d] = ['a', 'b', 'c', 'd'].map((name) => world.node(name)) as [
      WeftNode,
      WeftNode,
      WeftNode,
      WeftNode,
    ];
    const limited = `${noMapping}[relay]\nmode = "limited"\nlimit-mbit = 1000\nlimit-gb-month = 1\n`;
    await b.start({ config: limited });
    await b.init();
    for (const node of [a, d]) {
      await node.start({ config: noMapping });
      await node.join(await b.invite());
    }
    await allPairsPing([a, d], 10 * second);
    t.is((await a.peer('d'))!.via, 'b');
    await b.kill('SIGTERM');
    const now = new Date();
    const month = 12 * now.getUTCFullYear() + now.getUTCMonth();
    inState(b, (state) => state.write('relayed', encodeRelayedMonths([{ month, octets: allowed - 3e6 }])));
    await b.start();
    await allPairsPing([a, d], 20 * second);
    const quotaOf = async () => (await b.status()).health.find(({ code }) => code === 'relay-quota');
    t.is(await quotaOf(), undefined, 'not yet used up');

    const counted = await countedAt(b, d.host.address);
    const sending = flood(world, await d.address());
    const { took } = await until(
      'b says that its month is used up',
      quotaOf,
      (said) => said !== undefined,
      30 * second,
    );
    t.regex((await quotaOf())!.message, /relayed 1\.\d GB for others this month, as much as allowed/);
    await sleep(second);
    const then = await counted();
    await sleep(3 * second);
    const after = (await counted()) - then;
    const far = sending.stop();
    t.log(
      `told after ${Math.round(took)} ms; ${far} octets arrived, ${after} octets left b towards d in the 3 s after`,
    );
    t.true(far > 3e6, 'what was left was carried');
    t.true(after < 100_000, `${after} octets a node says of itself, and no more`);
    t.false(await a.pings(await d.address()), 'there is no other way');
    t.regex((await a.peer('d'))!.state, /unreachable|connecting/);
    await allPairsPing([a, b], 20 * second); // its own traffic goes on

    await c.start({ config: noMapping });
    await c.join(await b.invite());
    await allPairsPing([a, d], 20 * second);
    t.is((await a.peer('d'))!.via, 'c', 'elsewhere');

    await b.kill('SIGTERM');
    const kept = inState(b, (state) => decodeRelayedMonths(state.read('relayed')))[0]!;
    t.is(kept.month, month);
    t.true(kept.octets >= allowed, `${kept.octets}`);
    await b.start();
    t.not(await quotaOf(), undefined, 'a restart gives nothing back');
  } finally {
    world.remove();
  }
});

/** The state folder of a node that does not run. */
function inState<T>(node: WeftNode, use: (state: State) => T): T {
  const state = State.open(node.state);
  try {
    return use(state);
  } finally {
    state.close();
  }
}

/** Octets of UDP that leave this machine for `d`, by its own kernel's count. */
async function countedAt(node: WeftNode, to: string): Promise<() => Promise<number>> {
  const { namespace } = node.host;
  await namespace.nft(`table ip counted {
  counter toD { }
  chain out { type filter hook output priority 0; ip daddr ${to} meta l4proto udp counter name toD; }
}
`);
  return async () => {
    const text = await namespace.must(['nft', 'list', 'counter', 'ip', 'counted', 'toD']);
    return Number(/bytes (\d+)/.exec(text)?.[1]);
  };
}

/** About 10 Mbit/s from a to d; `stop` gives the octets that arrived. */
function flood(world: World, address: string): { stop(): number } {
  const to = udpOn(world.host('d'), 7001, '::');
  let octets = 0;
  to.on('message', (bytes) => {
    octets += bytes.length;
  });
  const flow = udpOn(world.host('a'), 0, '::');
  const payload = Buffer.alloc(1000);
  const send = setInterval(() => {
    for (let i = 0; i < 12; i++) flow.send(payload, 7001, address, () => {});
  }, 10);
  return {
    stop: () => {
      clearInterval(send);
      flow.close();
      to.close();
      return octets;
    },
  };
}

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
