import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import test from 'ava';
import { home, host } from '../../lab/description.js';
import type { Router } from '../../lab/machines.js';
import { Narrator } from '../../lab/narrator.js';
import { network } from '../../lab/network.js';
import { mapping } from '../../lab/scenarios/mapping.js';
import { until } from '../../lab/until.js';
import { World } from '../../lab/world.js';
import { FrameType } from '../../src/tunnel/frame.js';

for (const protocol of ['igd2', 'nat-pmp'] as const) {
  test(`25: ${protocol}: mapped and proven, again after the router's reboot with another address and an empty table, removed on exit`, async (t) => {
    const result = await mapping(new Narrator(t.log), [protocol]);
    // From the process on it is a figure of `npm run verify`, where nothing else keeps the machine busy.
    t.log(`proven ${Math.round(result.ready)} ms after the daemon was ready`);
    t.true(result.ready < 3000, `proven ${result.ready} ms after the daemon was ready`);
    t.true(result.reboot < 10_000, `proven ${result.reboot} ms after the router came back`);
    t.is(result.left, 0);
  });
}

/** Dial-backs that a router lets in to its LAN. */
const countDialBacks = `
table inet letin {
  counter dialbacks {}
  chain forward {
    type filter hook forward priority 10; policy accept;
    iifname wan oifname lan meta l4proto udp @th,64,8 ${FrameType.dialBack} counter name dialbacks
  }
}
`;

async function dialBacksLetIn({ namespace }: Router): Promise<number> {
  const text = await namespace.must(['nft', 'list', 'counter', 'inet', 'letin', 'dialbacks']);
  return Number(/packets (\d+)/.exec(text)![1]);
}

test('26: behind a NAT that keeps ports and lets in by address, a mapping that forwards nothing is never proven; one that does is, by one peer', async (t) => {
  const open = { nat: 'address-restricted', mapping: ['igd2', 'nat-pmp'] } as const;
  const world = await World.build(
    {
      'dc-1': host(),
      'dc-2': host(),
      liar: home({ ...open, forwards: false }),
      honest: home(open),
    },
    { cold: true },
  );
  try {
    for (const name of ['liar', 'honest']) await world.router(name).namespace.nft(countDialBacks);
    const stood = async (name: string) => {
      const { portMapping, endpoints } = await world.node(name).status();
      const isMapped = portMapping.state === 'mapped' && portMapping.externalAddress === world.router(name).address;
      return { isMapped, proven: endpoints.filter(({ proven }) => proven).map(({ source }) => source) };
    };
    // Two and two: neither home knows more than one other member at first.
    const [dc1] = await network(world, ['dc-1', 'liar']);
    await network(world, ['dc-2', 'honest']);
    const { took } = await until(
      'the mapping of the honest one is proven',
      () => stood('honest'),
      ({ isMapped, proven }) => isMapped && proven.length > 0,
      10_000,
      () => world.node('honest').tail(),
    );
    t.log(`with one peer: mapped and proven ${Math.round(took)} ms after it had joined`);
    // A router that is slow to be found is heard of after the first dial. From here on the node knows its mapping before it has a peer.
    const liar = world.node('liar');
    await world.wire('liar').cut();
    await liar.restart();
    const mapped = () => stood('liar').then(({ isMapped }) => isMapped);
    await until('the liar has mapped', mapped, Boolean, 20_000, () => liar.tail());
    t.is((await liar.status()).tunnels.up, 0);
    const wasted = await dialBacksLetIn(world.router('liar'));
    await world.wire('liar').heal();
    const up = async () => (await liar.status()).tunnels.up;
    await until('its tunnel stands', up, Boolean, 30_000, () => liar.tail());
    const watch = async (seconds: number) => {
      for (let i = 0; i < 4 * seconds; i++) {
        const { isMapped, proven } = await stood('liar');
        t.deepEqual(proven, [], 'what forwards nothing is not proven');
        if (i === 4 * seconds - 1) t.true(isMapped, 'the router says so');
        await sleep(250);
      }
    };
    await watch(3);
    // A third member, to which the liar's node has sent nothing yet.
    const third = world.node('dc-2');
    await world.node('honest').kill('SIGTERM');
    await third.api.leave({ force: true });
    await third.join(await dc1!.invite());
    await watch(8);
    t.is(
      (await dialBacksLetIn(world.router('liar'))) - wasted,
      0,
      'none is wasted on its own hole, and nothing else is open',
    );
    // And one more where the router forwards the port before the node hears of it.
    const letIn = await dialBacksLetIn(world.router('honest'));
    t.true(letIn >= 2, `the trial, and the mapping: ${letIn}`);
  } finally {
    world.remove();
  }
});

test('26: a daemon that is stopped while its router is about to map its port leaves nothing mapped; where none answers it stops at once', async (t) => {
  const world = await World.build({ home: home({ lan: '192.168.10.0' }) });
  try {
    const said: string[] = [];
    const program = fileURLToPath(new URL('./slow-gateway.js', import.meta.url));
    const gateway = world.router('home').namespace.spawn([process.execPath, program, '192.168.10.1']);
    for (const stream of [gateway.stdout, gateway.stderr])
      createInterface({ input: stream }).on('line', (line) => said.push(line));
    const says = (line: string) =>
      until(
        line,
        () => said.join('; '),
        () => said.includes(line),
        10_000,
        () => node.tail(),
      );
    const node = world.node('home');
    await says('ready');
    await node.start();
    await node.init();
    await says('AddPortMapping: 16696');
    const stop = async () => {
      const started = performance.now();
      await node.kill('SIGTERM');
      const took = Math.round(performance.now() - started);
      t.log(`stopped after ${took} ms`);
      return took;
    };
    await stop();
    t.is(said.at(-1), 'DeletePortMapping: ', said.join('; '));
    gateway.kill('SIGKILL');
    await node.start();
    t.true((await stop()) < 1000, 'in the middle of a search');
  } finally {
    world.remove();
  }
});
