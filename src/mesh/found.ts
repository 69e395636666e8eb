import type { CertificateChain } from '../addr/certificate-chain.js';
import { NodeIdentity } from '../addr/identity.js';
import { issueIssuerCertificate } from '../addr/issuer-certificate.js';
import { issuerPrefix, Network } from '../addr/network.js';
import { issueNodeCertificate } from '../addr/node-certificate.js';
import { nodeNumberOf } from '../addr/node-number.js';
import type { Prefix } from '../addr/prefix.js';
import { certificateLifetime, signingTime } from '../addr/validity.js';
import { SigningKey, VerifyingKey } from '../crypto.js';
import type { Random } from '../random.js';
import type { UnixSeconds } from '../time.js';
import { blobs, type MeshEffect, type Outcome } from './effects.js';
import { Issuer } from './issuer.js';
import { Membership } from './membership.js';
import { NetworkKey } from './network-key.js';

export interface Founding {
  readonly name: string;
  /** The operator's own, or undefined: drawn from the network key. */
  readonly prefix?: Prefix;
  readonly identity?: NodeIdentity;
}

export interface Founded {
  readonly membership: Membership;
  readonly issuer: Issuer;
  readonly networkKey: NetworkKey;
}

/**
 * Founds a network whose first issuer, with index 0 and node number 1, is this node. `membership` is persisted last: with it the
 * node is a member, and whatever a crash leaves before it is overwritten by the next try. Throws a MeshError on a wrong clock.
 */
export function foundNetwork(founding: Founding, random: Random, wallClock: () => UnixSeconds): Outcome<Founded> {
  const issued = signingTime(wallClock(), 0);
  const networkKey = new NetworkKey(SigningKey.make(random));
  const network = new Network(VerifyingKey.from(networkKey.key.publicKey)!, founding.prefix);
  const identity = founding.identity ?? NodeIdentity.make(random);
  const keys = { key: identity.signing.publicKey, dh: identity.agreement.publicKey };
  const number = Math.max(1, nodeNumberOf(network.prefix, issuerPrefix(network.prefix, 0)!.bytes)!);
  const chain: CertificateChain = {
    issuer: issueIssuerCertificate(network, networkKey.key, { ...keys, index: 0, number, issued }),
    node: issueNodeCertificate(network.id, identity.signing, {
      ...keys,
      number,
      name: founding.name,
      issued,
      expires: issued + certificateLifetime,
      issuer: 0,
    }),
  };
  const membership = new Membership(identity, network, chain, wallClock);
  const issuer = new Issuer(membership, chain.issuer, random, wallClock);
  const effects = [networkKey.persist(), persistIdentity(identity), issuer.persist(), ...membership.changes()];
  return { value: { membership, issuer, networkKey }, effects };
}

export function persistIdentity(identity: NodeIdentity): MeshEffect {
  return { kind: 'persist', name: blobs.identity, bytes: identity.encode() };
}
