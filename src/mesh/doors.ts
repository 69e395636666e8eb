import { type Endpoint, isPrivateEndpoint } from '../addr/endpoint.js';
import { type EndpointRecord, isOpen, type RecordedEndpoint } from '../addr/endpoint-record.js';
import { type InvitingMember, maxInvitingMembers } from '../addr/invitation.js';
import type { NodeNumber } from '../addr/node-number.js';
import type { TlsEndpoint } from '../addr/tls-endpoint.js';
import type { PublicKey } from '../crypto.js';
import type { Mesh } from './mesh.js';

/** Where a stranger may be let in to the network: a member, at one of its endpoints. */
interface Door {
  readonly member: InvitingMember;
  readonly openness: number;
  /** A way leads to that member now. */
  readonly isThere: boolean;
  readonly isOwn: boolean;
}

/** How many doors of our own come before those of others. */
const mostOwn = 2;
/** From this openness on a stranger may get in from everywhere. */
const leastOpen = 2;
/** Of an open door over IPv6: a newcomer sends its datagrams over IPv4, and few members take streams over IPv6. */
const openOverIpv6 = 0.5;

/** The doors a token names. */
export interface TokenDoors {
  readonly members: readonly InvitingMember[];
  /** One of them seems open to everybody, and its member is there. */
  readonly isAnyOpen: boolean;
}

/**
 * Up to four doors: those the operator named, then the best of ours and others' that seem open, of members that are there first.
 * The last place is for the door of our own on our LAN, where that is proven or none of ours seems open; what is left is for
 * what is worse. `isThere`: whether a way leads to that member now.
 */
export function tokenDoors(
  mesh: Mesh,
  explicit: readonly Endpoint[],
  isThere: (node: NodeNumber) => boolean,
): TokenDoors {
  const named = explicit.map((endpoint) => ownDoor(mesh, endpoint, 4));
  const own = mostOpenFirst(mesh.endpoints).map((endpoint) => ownDoor(mesh, endpoint, openness(endpoint)));
  const others = otherDoors(mesh).map(({ record, endpoint }): Door => {
    const { number, dh } = record.node;
    const member = invitingMember(number, dh, endpoint, record.tls[0]);
    return { member, openness: openness(endpoint), isThere: isThere(number), isOwn: false };
  });
  const onLan = own.find(({ member: { endpoint }, openness }) => isOnLan(endpoint) && openness < leastOpen);
  const keepsLan = onLan && (onLan.openness > 0 || !own.some(seemsOpen)) && named.length === 0;
  const rest = own.filter((door) => door !== onLan);
  const ranked = [
    ...[...rest.filter(seemsOpen).slice(0, mostOwn), ...others].filter(seemsOpen).sort(byPresenceThenOpenness),
    ...(onLan ? [onLan] : []),
    ...others.filter((door) => door.openness > 0 && !seemsOpen(door)),
    ...rest.filter(seemsOpen).slice(mostOwn),
    ...rest.filter((door) => !seemsOpen(door)),
  ];
  const places = maxInvitingMembers - named.length;
  const best = ranked.slice(0, Math.max(0, places));
  if (keepsLan && !best.includes(onLan)) best.splice(-1, 1, onLan);
  const doors = [...named, ...best].slice(0, maxInvitingMembers);
  // Where we take TLS connections is told with the first of our own doors, whichever those are.
  const tls = [...mesh.tls];
  return {
    members: doors.map(({ member, isOwn }) => (isOwn ? withTls(member, tls.shift()) : member)),
    isAnyOpen: doors.some((door) => seemsOpen(door) && door.isThere),
  };
}

/**
 * Other members by their most open endpoint, the most open first; of those alike, whom we came to know last: the oldest are the
 * first whose places are all taken, and a newcomer that knows only such is let in nowhere.
 */
export function otherDoors(mesh: Mesh): { readonly record: EndpointRecord; readonly endpoint: RecordedEndpoint }[] {
  return [...mesh.directory.records()]
    .reverse()
    .filter(({ node }) => node.number !== mesh.membership.number)
    .flatMap((record) => {
      const endpoint = mostOpenFirst(record.endpoints)[0];
      return endpoint ? [{ record, endpoint }] : [];
    })
    .sort((a, b) => openness(b.endpoint) - openness(a.endpoint));
}

function ownDoor(mesh: Mesh, endpoint: Endpoint, open: number): Door {
  const { number, identity } = mesh.membership;
  const member = invitingMember(number, identity.agreement.publicKey, endpoint);
  return { member, openness: open, isThere: true, isOwn: true };
}

function invitingMember(
  number: NodeNumber,
  dh: PublicKey,
  { address, port }: Endpoint,
  tls?: TlsEndpoint,
): InvitingMember {
  return withTls({ number, dh, endpoint: { address, port } }, tls);
}

function withTls(member: InvitingMember, tls: TlsEndpoint | undefined): InvitingMember {
  return tls ? { ...member, tls } : member;
}

function seemsOpen(door: Door): boolean {
  return door.openness >= leastOpen;
}

function byPresenceThenOpenness(a: Door, b: Door): number {
  return Number(b.isThere) - Number(a.isThere) || b.openness - a.openness || Number(b.isOwn) - Number(a.isOwn);
}

/** How likely a stranger gets in there; 0 for what only those spoken to before can reach, or at best a LAN. */
function openness(endpoint: RecordedEndpoint): number {
  const open = opennessWithin(endpoint);
  if (!isIpv6(endpoint)) return open;
  return open >= leastOpen ? openOverIpv6 : 0;
}

/** For those who have its family of addresses. */
function opennessWithin(endpoint: RecordedEndpoint): number {
  const { proven, source } = endpoint;
  if (isOpen(endpoint)) return 4;
  if (isPrivateEndpoint(endpoint)) return proven ? 1 : 0;
  if (source === 'observed') return 0;
  return source === 'configured' ? 3 : 2;
}

/** One that a newcomer on the same LAN can be told. */
function isOnLan(endpoint: Endpoint): boolean {
  return isPrivateEndpoint(endpoint) && !isIpv6(endpoint);
}

function isIpv6({ address }: Endpoint): boolean {
  return address.includes(':');
}

function mostOpenFirst(endpoints: readonly RecordedEndpoint[]): RecordedEndpoint[] {
  return [...endpoints].sort((a, b) => openness(b) - openness(a));
}
