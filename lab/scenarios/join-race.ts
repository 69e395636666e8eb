import type { Membership } from '../../daemon/api.js';
import type { WeftNode } from '../node.js';

export interface RaceResult {
  readonly winner: WeftNode;
  readonly loser: WeftNode;
  /** What the loser was told. */
  readonly told: { readonly code: string; readonly message: string };
}

/**
 * Two machines without a network redeem one token in the same moment. Throws when not exactly one of them became a
 * member. The daemons of both must run.
 */
export async function joinRace(issuer: WeftNode, a: WeftNode, b: WeftNode): Promise<RaceResult> {
  const { token } = await issuer.api.invite({});
  const racers = [a, b];
  const outcomes = await Promise.allSettled(
    racers.map(async (node): Promise<Membership> => node.api.join({ token, name: node.name })),
  );
  const members = await Promise.all(racers.map(async (node) => (await node.status()).node !== null));
  const won = outcomes.findIndex((outcome) => outcome.status === 'fulfilled');
  const lost = outcomes.findIndex((outcome) => outcome.status === 'rejected');
  if (won < 0 || lost < 0 || !members[won] || members[lost]) {
    throw new Error(`not exactly one joined: ${JSON.stringify(outcomes)}, members ${members}`);
  }
  const told = (outcomes[lost] as PromiseRejectedResult).reason;
  return { winner: racers[won]!, loser: racers[lost]!, told };
}
