import type { Invitation, Membership } from '../../daemon/api.js';
import { second } from '../../src/time.js';
import { home, host } from '../description.js';
import { Download, offer } from '../download.js';
import { duration, type Narrator } from '../narrator.js';
import { allPairsPing, pairState } from '../network.js';
import { until } from '../until.js';
import { World } from '../world.js';

export interface JourneySize {
  /** Of the file that travels through the relay. */
  readonly megabytes: number;
}

/** What the journey measured, in milliseconds. */
export interface JourneyResult {
  readonly pingAfterJoin: number;
  readonly download: number;
  readonly restarts: readonly number[];
}

/**
 * The main job, on real packets of real programs: found, join, ping, fetch a large file through a relay, crash
 * everything. Throws at the first thing that is not as promised.
 */
export async function journey(tell: Narrator, { megabytes }: JourneySize): Promise<JourneyResult> {
  const world = await World.build({
    'dc-1': host(),
    'dc-2': host(),
    'home-a': home({ mapping: ['igd2', 'nat-pmp'] }),
    'home-b': home({ mapping: ['igd1'] }),
  });
  try {
    // Before anything runs, so that no direct path ever existed.
    await world.separate('home-a', 'home-b');
    const [first, ...others] = ['dc-1', 'dc-2', 'home-a', 'home-b'].map((name) => world.node(name));
    const nodes = [first!, ...others];
    await Promise.all(nodes.map((node) => node.start()));
    tell.step(`${nodes.length} daemons run; no line between home-a and home-b`);

    const { network } = await first!.weft<Membership>('init', '--name', first!.name);
    tell.step(`${first!.name} founded ${network.id}, ${network.prefix}`);
    for (const node of others) {
      const { token } = await first!.weft<Invitation>('invite');
      await node.weft('join', token, '--name', node.name);
    }
    const pingAfterJoin = await allPairsPing(nodes, 10 * second);
    tell.good(`all pairs ping, ${duration(pingAfterJoin)} after the last join`);

    const [homeA, homeB] = [world.node('home-a'), world.node('home-b')];
    await pairState(homeA, homeB, 'relayed', 10 * second);
    // Two relays are as good as each other, and the way may change between two questions.
    const { value: way } = await until(
      'trace shows the relay that peers names',
      async () => ({
        via: (await homeB.peer('home-a'))?.via,
        hops: await homeB.weft<{ name: string; rttMs: number | null }[]>('trace', 'home-a'),
      }),
      ({ via, hops }) => hops.map(({ name }) => name).join() === `${via},home-a`,
      10 * second,
    );
    const { via, hops } = way;
    tell.good(`home-a and home-b have no direct path; home-b goes via ${via}`);
    tell.good(`trace shows the relay: ${hops.map(({ name, rttMs }) => `${name} ${rttMs?.toFixed(1)} ms`).join(', ')}`);

    const { address } = await homeA.app('files');
    const file = await offer(homeA.host, address, megabytes * 1_000_000);
    const download = new Download(homeB.host, file.url);
    await download.finished;
    if (download.checksum() !== file.checksum) throw new Error('the file changed on its way');
    const after = await homeB.peer('home-a');
    if (after?.state !== 'relayed') throw new Error(`home-a became ${after?.state} under way`);
    tell.good(
      `curl fetched ${megabytes} MB from ${address} in ${duration(download.took)}, byte for byte, still relayed`,
    );

    const before = await Promise.all(nodes.map((node) => node.address()));
    const restarts: number[] = [];
    const again: number[] = [];
    for (const node of nodes) {
      restarts.push(await node.restart('SIGKILL'));
      again.push(await allPairsPing(nodes, 15 * second));
      const now = await Promise.all(nodes.map((each) => each.address()));
      if (now.join() !== before.join()) throw new Error(`addresses changed: ${before} became ${now}`);
    }
    if ((await homeA.weft<{ address: string }[]>('app', 'list'))[0]?.address !== address) {
      throw new Error('the app address changed');
    }
    tell.good(
      `one by one killed with SIGKILL and started again (slowest ${duration(Math.max(...restarts))}): each time ` +
        `all pairs ping (at most ${duration(Math.max(...again))} later), addresses unchanged`,
    );
    file.stop();
    return { pingAfterJoin, download: download.took, restarts };
  } finally {
    world.remove();
  }
}
