import { setTimeout as sleep } from 'node:timers/promises';
import { parseEndpoint } from '../../src/addr/endpoint.js';
import { type Millis, second } from '../../src/time.js';
import { carrier, home, host } from '../description.js';
import { Flow } from '../flow.js';
import { duration, type Narrator } from '../narrator.js';
import { network, pairState } from '../network.js';
import type { WeftNode } from '../node.js';
import { Talk } from '../talk.js';
import { until } from '../until.js';
import { World } from '../world.js';

export interface RewritingResult {
  /** The outer ports the home was seen at: before, and after each rewriting. */
  readonly ports: readonly number[];
  /** The longest silence of either direction around each rewriting. */
  readonly gaps: readonly Millis[];
  /** Seconds the tunnel stood at the end without being made anew, and seconds since both said that it stood. */
  readonly stood: number;
  readonly watched: number;
  /** How long the TCP connection over all of it took to answer after the last one. */
  readonly talk: Millis;
}

/**
 * A home behind a carrier's symmetric NAT that gives it another port every so often, in the middle of everything: what the
 * outside sends to the port before leads nowhere from then on. Small datagrams flow both ways, and over one TCP connection lines.
 */
export async function portRewriting(tell: Narrator, every: Millis, times: number): Promise<RewritingResult> {
  const world = await World.build({
    'dc-1': host(),
    isp: carrier({ nat: 'symmetric' }),
    customer: home({ behind: 'isp' }),
  });
  let flows: readonly Flow[] = [];
  let talk: Talk | undefined;
  try {
    const [anchor, customer] = (await network(world, ['dc-1', 'customer'])) as [WeftNode, WeftNode];
    await pairState(anchor, customer, 'direct', 20 * second);
    const started = performance.now();
    const [there, here] = await Promise.all([customer.address(), anchor.address()]);
    flows = [new Flow(customer.host, anchor.host, here), new Flow(anchor.host, customer.host, there)];
    talk = await Talk.begin(anchor.host, customer.host, there);
    const portSeen = async () => parseEndpoint((await anchor.peer('customer'))?.tunnel?.endpoint ?? '')?.port ?? 0;
    const ports = [await portSeen()];
    const gaps: Millis[] = [];
    for (const flow of flows) {
      if (!(await flow.arrives(5 * second))) throw new Error(`nothing flows\n${anchor.tail()}\n${customer.tail()}`);
      flow.takeLongestGap();
    }
    for (let i = 0; i < times; i++) {
      await sleep(every - second / 2);
      for (const flow of flows) flow.takeLongestGap();
      await world.router('isp').forget();
      const { value } = await until(
        'the home is seen at another port',
        portSeen,
        (port) => port !== ports.at(-1) && port !== 0,
        10 * second,
        () => `${anchor.tail()}\n${customer.tail()}`,
      );
      ports.push(value);
      await sleep(second / 2);
      gaps.push(Math.max(...flows.map((flow) => flow.takeLongestGap())));
      tell.good(`another port, ${value}: the longest silence was ${duration(gaps.at(-1)!)}`);
    }
    const answered = await talk.goesOn(10 * second);
    // In this order: whatever passes between the two lines, the tunnel stood for longer than it was watched.
    const watched = (performance.now() - started) / second;
    const stood = (await anchor.peer('customer'))?.tunnel?.sinceSeconds ?? 0;
    return { ports, gaps, stood, watched, talk: answered };
  } finally {
    talk?.stop();
    for (const flow of flows) flow.stop();
    world.remove();
  }
}
