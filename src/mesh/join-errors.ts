import { isPrivateEndpoint } from '../addr/endpoint.js';
import type { Invitation } from '../addr/invitation.js';
import { networkId } from '../addr/network.js';
import { equalBytes } from '../bytes.js';
import { MeshError } from '../errors.js';
import type { UnixSeconds } from '../time.js';
import type { Refusal } from './issuer.js';
import type { Membership } from './membership.js';

const anotherToken = 'ask for another one: weft invite';

const refusals: Readonly<Record<Refusal | 'bad-answer', readonly [message: string, cure: string]>> = {
  'token-unknown': ['the issuer knows no such token', anotherToken],
  'token-expired': ['the token has expired', anotherToken],
  'token-used': ['the token was used by another machine', anotherToken],
  'issuer-full': [
    'the issuer has given away all its numbers',
    'ask another issuer for a token, or add one: weft issuer add NAME',
  ],
  'issuer-not-allowed': ['the issuer may not admit any more', 'ask another issuer for a token: weft issuer list'],
  clock: ['the clock of the issuer is wrong', 'set it there (timedatectl set-ntp true), then join again'],
  'bad-answer': ['the answer does not prove the network of the token', anotherToken],
};

/** What the newcomer's operator reads when the issuer said no. */
export function joinRefused(code: string): MeshError {
  const known = code in refusals ? (code as keyof typeof refusals) : undefined;
  if (!known)
    return new MeshError('join-refused', 'the issuer refused', 'update weft on both machines, then join again');
  const [message, cure] = refusals[known];
  return new MeshError(known, message, cure);
}

const reachableToken = 'ask for a token that names an address reachable from here: weft invite --endpoint HOST:PORT';

const placesOf = (invitation: Invitation): string =>
  invitation.members.map(({ endpoint }) => `UDP ${endpoint.address} port ${endpoint.port}`).join(', ');

/** Nobody answered. The system clock may be wrong, so that the token looks expired is only a hint. */
export function noAnswer(invitation: Invitation, clock: UnixSeconds): MeshError {
  const { members } = invitation;
  if (members.length === 0) return new MeshError('no-answer', 'the token names no member to ask', reachableToken);
  return new MeshError('no-answer', `no answer from ${placesOf(invitation)}`, cureForSilence(invitation, clock));
}

function cureForSilence({ members, expires }: Invitation, clock: UnixSeconds): string {
  if (clock >= expires) return `the token has expired by the clock of this machine: set the clock, or ${anotherToken}`;
  const running = 'check that weftd runs there, that the issuer is online and that no firewall is in between';
  return members.every(({ endpoint }) => isPrivateEndpoint(endpoint))
    ? `such addresses are reached inside their own LAN only: ${reachableToken}; in that LAN, ${running}`
    : `${running}; then join again, or ${reachableToken}`;
}

/** Nothing could be sent to anybody. `code`: what this machine's network said, as ENETUNREACH. */
export function noWayOut(invitation: Invitation, code: string): MeshError {
  return new MeshError(
    'no-way-out',
    `this machine cannot send to ${placesOf(invitation)} (${code})`,
    `connect it to a network that leads there ("ip route get ${invitation.members[0]?.endpoint.address}" shows the way), then join again`,
  );
}

/** Throws a MeshError when this machine is a member already: of the token's network, or of another. */
export function requireStranger(membership: Membership | undefined, invitation: Invitation): void {
  if (!membership) return;
  if (equalBytes(membership.network.id, networkId(invitation.network))) {
    throw new MeshError('already-member', 'this machine is a member of that network', 'see it with: weft status');
  }
  throw new MeshError(
    'wrong-network',
    'this machine is a member of another network',
    'leave it first (weft leave), or run a second weftd with its own --state and --socket',
  );
}
