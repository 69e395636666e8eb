import { encodeChain } from '../addr/certificate-chain.js';
import type { Endpoint } from '../addr/endpoint.js';
import { parseIp } from '../addr/ip.js';
import { type IssuerCertificate, issueIssuerCertificate } from '../addr/issuer-certificate.js';
import { requireName } from '../addr/name.js';
import { issuerBits } from '../addr/network.js';
import type { NodeCertificate } from '../addr/node-certificate.js';
import { type NodeNumber, nodeNumberOf } from '../addr/node-number.js';
import type { Prefix } from '../addr/prefix.js';
import { nodeKey } from '../addr/public-key.js';
import { revokeIssuer } from '../addr/revocation.js';
import { isRenewalDue, signingTime, standing } from '../addr/validity.js';
import { equalBytes } from '../bytes.js';
import { MeshError } from '../errors.js';
import { meant } from '../near.js';
import type { Random } from '../random.js';
import type { Millis, UnixSeconds } from '../time.js';
import { otherDoors, tokenDoors } from './doors.js';
import { blobs, type Outcome } from './effects.js';
import { exportIdentity } from './identity-copy.js';
import type { Issuer } from './issuer.js';
import { maxRevocations } from './membership.js';
import { type Mesh, requireIssuer } from './mesh.js';
import { sendMesh } from './messages.js';
import { NetworkKey } from './network-key.js';

/** What the operator may order of the mesh; each throws a MeshError, or gives effects to perform and a value to show. */

/** The node of this name, address (any of its /64) or id. Throws when there is none or more than one. */
export function requireNode(mesh: Mesh, text: string): NodeCertificate {
  const own = mesh.membership.chain.node;
  const known = [
    own,
    ...[...mesh.directory.records()].map((record) => record.node).filter((node) => node.number !== own.number),
  ];
  const address = parseIp(text);
  const number = address && nodeNumberOf(mesh.membership.network.prefix, address);
  const found = known.filter((node) => (address ? node.number === number : isCalled(node, text)));
  if (found.length === 1) return found[0]!;
  if (found.length > 1) {
    const ids = found.map((node) => nodeKey(node.key)).join(', ');
    throw new MeshError(
      'ambiguous-name',
      `${found.length} nodes are called ${text}: ${ids}`,
      'say which by its id or address',
    );
  }
  const all = 'see them with: weft peers';
  if (address) throw new MeshError('unknown-node', `no node has the address ${text}`, all);
  const name = requireName(text);
  const names = known.map((node) => node.name);
  throw new MeshError('unknown-node', `no node is called ${name}`, meant(name, names, all));
}

function isCalled(node: NodeCertificate, text: string): boolean {
  return node.name === text || nodeKey(node.key) === text;
}

export interface InviteCommand {
  readonly name?: string;
  readonly lifetime?: UnixSeconds;
  /** Where newcomers reach this node, when the operator knows better than we do. */
  readonly endpoints?: readonly Endpoint[];
  /** The node whose number the newcomer takes over. */
  readonly as?: string;
  readonly lan?: readonly Prefix[];
}

export interface Invited {
  readonly token: string;
  readonly name: string | undefined;
  readonly issuer: string;
  readonly expires: UnixSeconds;
  /** Why whoever redeems it may find nobody, where that is to be feared. */
  readonly warning: string | undefined;
}

const noOpenDoor =
  'no member that is there now is known to be reachable from everywhere: the token may be good on this LAN only; forward a UDP port and name it with --endpoint HOST:PORT';

/** `isThere`: whether a way leads to that member now. */
export function invite(mesh: Mesh, command: InviteCommand, isThere: (node: NodeNumber) => boolean): Outcome<Invited> {
  const issuer = requireIssuer(mesh);
  const { members, isAnyOpen } = tokenDoors(mesh, command.endpoints ?? [], isThere);
  if (members.length === 0) {
    throw new MeshError(
      'no-endpoint',
      'no address is known at which a newcomer could reach this network',
      'give one with --endpoint ADDRESS:PORT, or set endpoints in the config',
    );
  }
  const old = command.as === undefined ? undefined : takenOver(mesh, issuer, command.as);
  if (old && old.number === mesh.membership.number) {
    throw new MeshError('own-name', 'a node cannot give its own number away', 'run it on another issuer');
  }
  const name = old?.name ?? (command.name === undefined ? undefined : requireName(command.name));
  const { value, effects } = issuer.invite({
    ...(name === undefined ? {} : { name }),
    ...(command.lifetime === undefined ? {} : { lifetime: command.lifetime }),
    ...(command.lan === undefined ? {} : { lan: command.lan }),
    ...(old ? { as: { number: old.number, name: old.name } } : {}),
    members,
  });
  const warning = isAnyOpen ? undefined : noOpenDoor;
  return { value: { ...value, name, issuer: mesh.membership.chain.node.name, warning }, effects };
}

/** The node whose number is to change hands; it may have gone before anybody heard of it, so the issuer's table counts too. */
function takenOver(mesh: Mesh, issuer: Issuer, text: string): { readonly number: NodeNumber; readonly name: string } {
  try {
    return requireNode(mesh, text);
  } catch (error) {
    const given = error instanceof MeshError && error.code === 'unknown-node' ? issuer.givenTo(text) : undefined;
    if (!given) throw error;
    return given;
  }
}

/** The members a copy of this node finds the network by: few, so that the copy stays small. */
const copiedRecords = 16;

/** A copy of who this node is, for another machine. `stored`: its membership as it is on the disk. */
export function copyIdentity(mesh: Mesh, stored: Uint8Array, random: Random, passphrase: string): Uint8Array {
  const records = otherDoors(mesh).slice(0, copiedRecords);
  const octets = records.map(({ record }) => record.bytes);
  return exportIdentity(mesh.membership, stored, octets, random, passphrase);
}

/** Puts a node out, everywhere, at once. */
export function revoke(mesh: Mesh, name: string, now: Millis): Outcome<NodeCertificate> {
  const issuer = requireIssuer(mesh);
  const node = requireNode(mesh, name);
  if (node.number === mesh.membership.number) {
    throw new MeshError('own-name', 'a node cannot put itself out', 'use "weft leave", or run it on another issuer');
  }
  return { value: node, effects: mesh.gossip.takeRevocation(issuer.revoke(node.key), now) };
}

/** Which LAN prefixes a node may announce from now on. */
export function grant(mesh: Mesh, name: string, lan: readonly Prefix[]): Outcome<NodeCertificate> {
  const issuer = requireIssuer(mesh);
  const { value, effects } = issuer.grant(requireNode(mesh, name), lan);
  const chain = { issuer: issuer.certificate, node: value };
  if (value.number === mesh.membership.number) {
    mesh.membership.adopt(chain);
    return { value, effects: [...effects, ...mesh.membership.changes(), { kind: 'renewed', chain }] };
  }
  return { value, effects: [...effects, sendMesh(value.number, 'renewed', { c: encodeChain(chain) })] };
}

export interface ListedIssuer {
  readonly index: number;
  readonly name: string | undefined;
  readonly id: string;
  readonly prefix: string;
  readonly state: 'admits' | 'revoked';
}

export function listIssuers(mesh: Mesh): ListedIssuer[] {
  return mesh.membership
    .issuers()
    .map((issuer) => ({
      index: issuer.index,
      name: mesh.directory.certificateOf(issuer.number)?.name,
      id: nodeKey(issuer.key),
      prefix: String(issuer.prefix),
      state: mesh.membership.isIssuerInGoodStanding(issuer) ? ('admits' as const) : ('revoked' as const),
    }))
    .sort((a, b) => a.index - b.index);
}

/** Makes a member an issuer with a sub-prefix of its own. Needs the network key. */
export function addIssuer(mesh: Mesh, name: string, wallClock: UnixSeconds, now: Millis): Outcome<IssuerCertificate> {
  const { key } = requireNetworkKey(mesh);
  const node = requireNode(mesh, name);
  const { network } = mesh.membership;
  const known = mesh.membership.issuers();
  const before = known.find((issuer) => equalBytes(issuer.key, node.key));
  if (before) {
    throw new MeshError('already-issuer', `${node.name} is an issuer, or was one`, 'see them with: weft issuer list');
  }
  const taken = new Set(known.map((issuer) => issuer.index));
  let index = 0;
  while (taken.has(index)) index++;
  if (index >= 2 ** issuerBits(network.prefix)) {
    throw new MeshError(
      'network-full',
      'all sub-prefixes of the network have been given to issuers',
      'use one of them',
    );
  }
  const issued = signingTime(wallClock, mesh.membership.newestSigned);
  const value = issueIssuerCertificate(network, key, {
    index,
    key: node.key,
    dh: node.dh,
    number: node.number,
    issued,
  });
  mesh.membership.learnIssuer(value.bytes);
  return { value, effects: [...mesh.membership.changes(), ...mesh.gossip.spread('issuers', value.bytes, now)] };
}

/**
 * Ends an issuer's right to admit. Whom it admitted stays, unless its key was `stolen`: then all its certificates are void, for
 * a thief can date back. Needs the network key.
 */
export function endIssuer(
  mesh: Mesh,
  name: string,
  options: { readonly stolen: boolean; readonly wallClock: UnixSeconds },
  now: Millis,
): Outcome<ListedIssuer> {
  const { key } = requireNetworkKey(mesh);
  const issuers = listIssuers(mesh);
  const listed = requireIssuerOf(mesh, issuers, name);
  const others = issuers.filter((one) => one.id !== listed.id && one.state === 'admits');
  if (others.length === 0) {
    throw new MeshError(
      'last-issuer',
      `without ${name} nobody could admit or renew any more`,
      'make another node an issuer first: weft issuer add NAME',
    );
  }
  const issuer = mesh.membership.issuers().find((known) => nodeKey(known.key) === listed.id)!;
  const at = signingTime(options.wallClock, mesh.membership.newestSigned);
  const about = { key: issuer.key, at, since: options.stolen ? 0 : at };
  const { bytes } = revokeIssuer(mesh.membership.network.id, key, about);
  return { value: { ...listed, state: 'revoked' }, effects: mesh.gossip.takeRevocation(bytes, now) };
}

/** The issuer of this name, address or id: also one whose node nobody knows any more, by its id. */
function requireIssuerOf(mesh: Mesh, issuers: readonly ListedIssuer[], text: string): ListedIssuer {
  const address = parseIp(text);
  const id = address && nodeKey(requireNode(mesh, text).key);
  const found = issuers.filter((issuer) => (id ? issuer.id === id : issuer.name === text || issuer.id === text));
  if (found.length === 1) return found[0]!;
  const all = 'see them with: weft issuer list';
  if (found.length > 1) {
    throw new MeshError('ambiguous-name', `${found.length} issuers are called ${text}`, `say which by its id; ${all}`);
  }
  const names = issuers.flatMap((issuer) => issuer.name ?? []);
  throw new MeshError('unknown-issuer', `no issuer is called ${text}`, meant(text, names, all));
}

/** A sealed copy of the network key, to be kept elsewhere. */
export function exportNetworkKey(mesh: Mesh, random: Random, passphrase: string): Uint8Array {
  return requireNetworkKey(mesh).export(random, passphrase);
}

/** The copy was written, and is shown as it was read back: from now on the key here is not the only one. */
export function noteNetworkKeyCopy(mesh: Mesh, sealed: Uint8Array, passphrase: string): Outcome<undefined> {
  return { value: undefined, effects: [requireNetworkKey(mesh).noteCopy(sealed, passphrase)] };
}

/** Takes the network key off this machine. Throws while no copy of it was exported. */
export function removeNetworkKey(mesh: Mesh): Outcome<undefined> {
  if (!requireNetworkKey(mesh).isExported) {
    throw new MeshError(
      'network-key-only-here',
      'the only copy of the network key is on this machine',
      'keep one elsewhere first: weft network-key export FILE',
    );
  }
  mesh.holdNetworkKey(undefined);
  return { value: undefined, effects: [{ kind: 'forget', name: blobs.networkKey }] };
}

export function importNetworkKey(mesh: Mesh, sealed: Uint8Array, passphrase: string): Outcome<undefined> {
  const { value, effects } = NetworkKey.import(sealed, passphrase, mesh.membership.network.publicKey);
  mesh.holdNetworkKey(value);
  return { value: undefined, effects };
}

function requireNetworkKey(mesh: Mesh): NetworkKey {
  if (mesh.networkKey) return mesh.networkKey;
  throw new MeshError(
    'no-network-key',
    'the network key is not on this machine',
    'run it where "weft init" was run, or bring the copy here: weft network-key import FILE',
  );
}

/** A line of `weft status` about the membership. */
export interface MeshHealth {
  readonly code: string;
  readonly severity: 'warning' | 'error';
  readonly message: string;
  readonly fix: string;
}

export function meshHealth(mesh: Mesh): MeshHealth[] {
  const { membership, networkKey } = mesh;
  const health: MeshHealth[] = [];
  const add = (severity: MeshHealth['severity'], code: string, message: string, fix: string) =>
    health.push({ code, severity, message, fix });
  if (networkKey && !networkKey.isExported) {
    add(
      'warning',
      'network-key-not-exported',
      'the only copy of the network key is on this machine',
      'keep one elsewhere: weft network-key export FILE',
    );
  }
  const { node } = membership.chain;
  const held = standing(node, membership.now());
  if (held !== 'valid') {
    add(
      'error',
      'certificate-expired',
      'the certificate of this node has expired',
      'see that an issuer is online: weft issuer list',
    );
  } else if (isRenewalDue(node, membership.now() - renewalPatience)) {
    add(
      'warning',
      'certificate-not-renewed',
      'no issuer has renewed the certificate yet',
      'see that an issuer is online: weft issuer list',
    );
  }
  const verdict = membership.verifyNode(node);
  if (!verdict.ok && verdict.fault !== 'expired') {
    add(
      'error',
      'revoked',
      'this node was put out of the network',
      'ask an issuer for a new invitation, then: weft leave; weft join TOKEN',
    );
  }
  const clock = mesh.clock.fault(membership.newestSigned);
  if (clock) add(clock.severity, 'clock', clock.message, clock.fix);
  if (membership.revocationCount >= maxRevocations) {
    add(
      'error',
      'revocations-full',
      'no more revocations can be taken',
      'found a new network: somebody has abused this one',
    );
  }
  return health;
}

/** How long after half-life an unrenewed certificate is worth a warning: a month. */
const renewalPatience: UnixSeconds = 30 * 86_400;
