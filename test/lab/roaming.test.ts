import { setTimeout as sleep } from 'node:timers/promises';
import test from 'ava';
import { host, line } from '../../lab/description.js';
import { Flow } from '../../lab/flow.js';
import { renumber } from '../../lab/machines.js';
import { median } from '../../lab/median.js';
import { Narrator } from '../../lab/narrator.js';
import { allPairsPing, network } from '../../lab/network.js';
import { portRewriting } from '../../lab/scenarios/port-rewriting.js';
import { changeDevice, nap, sleepsANight, unplug } from '../../lab/scenarios/roaming.js';
import { Talk } from '../../lab/talk.js';
import { World } from '../../lab/world.js';

/** Half of the changes must be within a second, as all are in `npm run verify`; here other tests run at the same time. */
const limit = 1000;
/** And every one within this. */
const most = 3000;

test('29: a host sleeps, loses its line, changes device and address: traffic is back soon each time, TCP survives', async (t) => {
  const world = await World.build({ 'dc-1': host(), mobile: host(), lte: line('dc-1', 'mobile') });
  let flow: Flow | undefined;
  let talk: Talk | undefined;
  try {
    const { host: mobile } = world.node('mobile');
    await unplug(mobile);
    const nodes = await network(world, ['dc-1', 'mobile'], sleepsANight);
    await allPairsPing(nodes, 10_000);
    const [anchor, mover] = [world.node('dc-1'), world.node('mobile')];
    const address = await mover.address();
    flow = new Flow(anchor.host, mobile, address);
    talk = await Talk.begin(anchor.host, mobile, address);
    const another = (octet: number) => renumber(mobile, mobile.address.replace(/\d+$/, String(octet)));
    const took: number[] = [];
    for (const [what, change] of [
      ['4 s asleep, 8 h on its clock', () => nap(mover, 4000)],
      [
        'the line down for 2.5 s, then another address',
        async () => {
          await mobile.namespace.must(['ip', 'link', 'set', 'eth0', 'down']);
          await sleep(2500);
          await mobile.namespace.must(['ip', 'link', 'set', 'eth0', 'up']);
          await another(92);
        },
      ],
      ['another address', () => another(91)],
      ['another again', () => another(93)],
      ['and another', () => another(94)],
      ['another device, on another line', () => changeDevice(mobile, 500)],
    ] as const) {
      await change();
      const back = performance.now();
      t.true(await flow.arrives(most), `${what}: not within ${most} ms\n${mover.tail()}`);
      took.push(performance.now() - back);
      t.log(`${what}: traffic again after ${Math.round(took.at(-1)!)} ms`);
    }
    const usual = median(took);
    t.true(usual < limit, `the median of ${took.length} changes is ${Math.round(usual)} ms`);
    t.log(`the TCP connection after ${Math.round(await talk.goesOn(20_000))} ms more`);
    t.regex(mover.log().join('\n'), /woke-up.*was away for 288\d\d s/);
  } finally {
    flow?.stop();
    talk?.stop();
    world.remove();
  }
});

test('27: a carrier’s symmetric NAT gives a home another port again and again: traffic goes on both ways, TCP and the tunnel survive', async (t) => {
  // Every 30 s in `npm run verify`; oftener is harder.
  const { ports, gaps, stood, watched, talk } = await portRewriting(new Narrator(t.log), 3000, 4);
  t.is(new Set(ports).size, 5, `${ports}: another port each time`);
  for (const gap of gaps) t.true(gap < limit, `${Math.round(gap)} ms of silence`);
  t.true(stood >= Math.floor(watched), `one tunnel: it stands for ${stood} s of ${watched.toFixed(1)}`);
  t.log(`the TCP connection after ${Math.round(talk)} ms`);
});
