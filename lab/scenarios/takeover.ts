import { setTimeout as sleep } from 'node:timers/promises';
import { type Millis, second } from '../../src/time.js';
import { home, host } from '../description.js';
import { Flow } from '../flow.js';
import { duration, type Narrator } from '../narrator.js';
import { network, pairState } from '../network.js';
import type { WeftNode } from '../node.js';
import { until } from '../until.js';
import { World } from '../world.js';

export interface TakeoverResult {
  /** How each of the two reached the other when its first datagram left. */
  readonly before: readonly string[];
  /** From the first datagrams to a direct tunnel on both sides. */
  readonly direct: Millis;
  /** Both ways, at once. */
  readonly flows: readonly TakeoverFlow[];
}

/** One direction. */
export interface TakeoverFlow {
  readonly from: string;
  readonly sent: number;
  /** Numbers of datagrams that never came; 0 is the first. */
  readonly missing: readonly number[];
}

/**
 * Two homes behind port-restricted NATs meet while numbered datagrams flow, both ways, from the moment there is a
 * route: a relay carries the first, and the tunnel that punching makes takes over.
 */
export async function takeover(tell: Narrator): Promise<TakeoverResult> {
  const far = { wire: { delay: 60 } };
  const world = await World.build({ 'dc-1': host(), 'dc-2': host(), left: home(far), right: home(far) });
  try {
    const [left, right] = [world.node('left'), world.node('right')];
    await Promise.all([network(world, ['dc-1', 'dc-2', 'left']), right.start()]);
    const token = await world.node('dc-1').invite();
    const joining = right.join(token);
    const before = await Promise.all([wayKnown(right, left), wayKnown(left, right)]);
    const running = [await flowFrom(right, left), await flowFrom(left, right)];
    await joining;
    const direct = await pairState(left, right, 'direct', 20 * second);
    // Beyond the moment when routing follows.
    await sleep(3 * second);
    const sent = running.map(({ flow }) => flow.sent);
    await sleep(second);
    const flows = running.map(({ from, flow }, i) => ({ from, sent: sent[i]!, missing: flow.missing(sent[i]!) }));
    for (const { flow } of running) flow.stop();
    for (const { from, missing } of flows) {
      if (missing.length === 0) continue;
      const drops = async (name: string) => `${name} ${JSON.stringify((await world.node(name).status()).drops)}`;
      tell.bad(
        `from ${from}: missing ${missing[0]} to ${missing.at(-1)}; ${(await Promise.all(['left', 'right', 'dc-1', 'dc-2'].map(drops))).join('; ')}`,
      );
    }
    const lost = flows.map(({ from, sent, missing }) => `${missing.length} of ${sent} from ${from}`).join(', ');
    tell.good(`the first datagrams left while ${before.join(' and ')}; direct ${duration(direct)} later; lost ${lost}`);
    return { before, direct, flows };
  } finally {
    world.remove();
  }
}

/** Waits until one sees a way to the other, and its kernel has it; gives of which kind it was. */
async function wayKnown(from: WeftNode, to: WeftNode): Promise<string> {
  const { value } = await until(
    `there is a way from ${from.name} to ${to.name}`,
    () => from.peer(to.name),
    (peer) => peer?.state === 'relayed' || peer?.state === 'direct',
    10 * second,
  );
  const address = await to.address();
  // A machine that joins learns of ways a moment before its kernel has the route; what is refused until then was never
  // sent.
  await until(
    `the kernel of ${from.name} has the route`,
    () => from.host.namespace.run(['ip', '-6', 'route', 'get', address]),
    ({ code }) => code === 0,
    5 * second,
  );
  return value!.state;
}

async function flowFrom(from: WeftNode, to: WeftNode): Promise<{ readonly from: string; readonly flow: Flow }> {
  return { from: from.name, flow: new Flow(from.host, to.host, await to.address(), 5) };
}
