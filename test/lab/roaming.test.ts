import { setTimeout as sleep } from 'node:timers/promises';
import test from 'ava';
import { host, line } from '../../lab/description.js';
import { Flow } from '../../lab/flow.js';
import { renumber } from '../../lab/machines.js';
import { allPairsPing, network } from '../../lab/network.js';
import { changeDevice, nap, sleepsANight, unplug } from '../../lab/scenarios/roaming.js';
import { Talk } from '../../lab/talk.js';
import { World } from '../../lab/world.js';

/** `npm run verify` holds each to 1 s, with longer absences; here other tests run at the same time. */
const limit = 3000;

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
      ['another device, on another line', () => changeDevice(mobile, 500)],
    ] as const) {
      await change();
      const back = performance.now();
      t.true(await flow.arrives(limit), `${what}: not within ${limit} ms\n${mover.tail()}`);
      t.log(`${what}: traffic again after ${Math.round(performance.now() - back)} ms`);
    }
    t.log(`the TCP connection after ${Math.round(await talk.goesOn(20_000))} ms more`);
    t.regex(mover.log().join('\n'), /woke-up.*was away for 288\d\d s/);
  } finally {
    flow?.stop();
    talk?.stop();
    world.remove();
  }
});
