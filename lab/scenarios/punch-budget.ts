import { setTimeout as sleep } from 'node:timers/promises';
import { dialsPerMinute, punchesPerMinute } from '../../src/mesh/punching.js';
import { FrameType } from '../../src/tunnel/frame.js';
import { home, host, type Internet } from '../description.js';
import type { Router } from '../machines.js';
import type { Narrator } from '../narrator.js';
import { network } from '../network.js';
import type { WeftNode } from '../node.js';
import { World } from '../world.js';

/** A dial that nobody answers repeats its initiation so often in its 15 s (src/tunnel/attempt.ts). */
const initiationsPerDial = 8;
/** What punching may send in a minute: its punches, and the initiations of its dials. */
export const mostPackets = punchesPerMinute + dialsPerMinute * initiationsPerDial;

export interface BudgetResult {
  readonly seconds: number;
  /** Packets that each home sent towards other homes, as its router counted them. */
  readonly sent: readonly number[];
  /** The hole punches among them. */
  readonly punches: readonly number[];
  /** Of each home, what `weft peers` had as the reasons why the other homes are not direct, at any time. */
  readonly reasons: readonly (readonly string[])[];
}

/** What has been seen so far. */
type Seen = Pick<BudgetResult, 'punches' | 'reasons'>;

/**
 * Homes that cannot reach each other, as their packets vanish on the way, and try all the time: their routers count
 * what they send to one another, for so many seconds, and for three times as many where it is not enough before.
 */
export async function punchBudget(
  tell: Narrator,
  homes: number,
  seconds: number,
  config?: string,
  isEnough: (seen: Seen) => boolean = () => true,
): Promise<BudgetResult> {
  const names = Array.from({ length: homes }, (_, i) => `home-${i + 1}`);
  const scene: Internet = Object.fromEntries(names.map((name) => [name, home()]));
  const world = await World.build({ 'dc-1': host(), ...scene }, { cold: true });
  try {
    for (const [i, one] of names.entries()) {
      for (const other of names.slice(i + 1)) await world.separate(one, other);
    }
    for (const name of names) await world.router(name).namespace.nft(countPunches);
    const [, ...nodes] = await network(world, ['dc-1', ...names], config);
    const others = new Set(names.map((name) => world.router(name).address));
    const count = async (name: string) =>
      [...(await world.router(name).udpSent())]
        .filter(([to]) => others.has(to.slice(0, to.lastIndexOf(':'))))
        .reduce((sum, [, packets]) => sum + packets, 0);
    // An error stays until there is another: what was said in between counts too.
    const reasons = nodes.map(() => new Set<string>());
    const look = async (node: WeftNode, i: number) => {
      for (const { lastError } of await node.peers()) if (lastError !== null) reasons[i]!.add(lastError);
    };
    const seen = async (): Promise<Seen> => ({
      punches: await Promise.all(names.map((name) => punchesSeen(world.router(name)))),
      reasons: reasons.map((each) => [...each]),
    });
    const began = performance.now();
    let passed = 0;
    for (; passed < seconds || (passed < 3 * seconds && !isEnough(await seen())); passed++) {
      // However long a look takes, for the budget is of a minute.
      await sleep(Math.max(0, began + 1000 * (passed + 1) - performance.now()));
      await Promise.all(nodes.map(look));
    }
    const sent = await Promise.all(names.map(count));
    const found = await seen();
    tell.good(
      `${homes} homes apart from each other for ${passed} s: their routers saw ${sent.join(', ')} packets, ${found.punches.join(', ')} punches`,
    );
    return { seconds: passed, sent, ...found };
  } finally {
    world.remove();
  }
}

/** The first octet behind the UDP header says what a datagram of ours is. */
const countPunches = `
table inet punches {
  counter sent {}
  chain out {
    type filter hook forward priority -5; policy accept;
    iifname lan meta l4proto udp @th,64,8 ${FrameType.punch} counter name sent
  }
}
`;

async function punchesSeen({ namespace }: Router): Promise<number> {
  const text = await namespace.must(['nft', 'list', 'counter', 'inet', 'punches', 'sent']);
  return Number(/packets (\d+)/.exec(text)![1]);
}
