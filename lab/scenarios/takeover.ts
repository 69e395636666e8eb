import { setTimeout as sleep } from 'node:timers/promises';
import type { Millis } from '../../src/time.js';
import { home, host } from '../description.js';
import { Flow } from '../flow.js';
import { duration, type Narrator } from '../narrator.js';
import { network, pairState } from '../network.js';
import { until } from '../until.js';
import { World } from '../world.js';

const second = 1000;

export interface TakeoverResult {
  /** How the two reached each other when the first datagram left. */
  readonly before: string;
  /** From the first datagram to a direct tunnel on both sides. */
  readonly direct: Millis;
  readonly sent: number;
  /** Numbers of datagrams that never came; 0 is the first. */
  readonly missing: readonly number[];
}

/**
 * Two homes behind port-restricted NATs meet while numbered datagrams flow, both ways, from the moment there is a route: a
 * relay carries the first, and the tunnel that punching makes takes over.
 */
export async function takeover(tell: Narrator): Promise<TakeoverResult> {
  const far = { wire: { delay: 60 } };
  const world = await World.build({ 'dc-1': host(), 'dc-2': host(), left: home(far), right: home(far) });
  try {
    const [left, right] = [world.node('left'), world.node('right')];
    await Promise.all([network(world, ['dc-1', 'dc-2', 'left']), right.start()]);
    const token = await world.node('dc-1').invite();
    const there = await left.address();
    const joining = right.join(token);
    const { value: found } = await until(
      'there is a way from right to left',
      () => right.peer('left'),
      (peer) => peer?.state === 'relayed' || peer?.state === 'direct',
      10 * second,
    );
    // A machine that joins learns of ways a moment before its kernel has the route; what is refused until then was never sent.
    await until(
      'the kernel of right has the route',
      () => right.host.namespace.run(['ip', '-6', 'route', 'get', there]),
      ({ code }) => code === 0,
      5 * second,
    );
    const flow = new Flow(right.host, left.host, there, 5);
    await joining;
    const direct = await pairState(left, right, 'direct', 20 * second);
    // Beyond the moment when routing follows.
    await sleep(3 * second);
    const sent = flow.sent;
    await sleep(second);
    const missing = flow.missing(sent);
    flow.stop();
    if (missing.length > 0) {
      const drops = async (name: string) => `${name} ${JSON.stringify((await world.node(name).status()).drops)}`;
      tell.bad(
        `missing ${missing[0]} to ${missing.at(-1)}; ${(await Promise.all(['left', 'right', 'dc-1', 'dc-2'].map(drops))).join('; ')}`,
      );
    }
    tell.good(
      `the first datagram left while ${found!.state}; direct ${duration(direct)} later; ${missing.length} of ${sent} lost`,
    );
    return { before: found!.state, direct, sent, missing };
  } finally {
    world.remove();
  }
}
