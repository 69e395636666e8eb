import { decodeMap, octetsField } from '../addr/fields.js';
import { NodeIdentity } from '../addr/identity.js';
import { encodeCbor } from '../cbor.js';
import { MeshError } from '../errors.js';
import { openWithPassphrase, sealWithPassphrase } from '../passphrase.js';
import type { Random } from '../random.js';
import type { UnixSeconds } from '../time.js';
import { encodeDirectory } from './directory.js';
import { blobs, type Outcome } from './effects.js';
import { persistIdentity } from './found.js';
import { Membership } from './membership.js';
import { requirePassphrase } from './network-key.js';
import { octetLists } from './stored.js';

const maxMembershipLength = 16 * 1024 * 1024;

/**
 * A copy of who this node is, sealed under a passphrase: keys, certificate, and what it knows of issuers and revocations.
 * `records` of a few other members go with it: by them the copy finds the network.
 */
export function exportIdentity(
  membership: Membership,
  stored: Uint8Array,
  records: readonly Uint8Array[],
  random: Random,
  passphrase: string,
): Uint8Array {
  requirePassphrase(passphrase);
  const identity = membership.identity.encode();
  const copy = encodeCbor({ v: 1, identity, membership: stored, records: [...records] });
  const sealed = sealWithPassphrase(random, passphrase, copy);
  identity.fill(0);
  copy.fill(0);
  return sealed;
}

/** The node of a copy, to be persisted. Throws a MeshError when the copy does not open. */
export function importIdentity(
  sealed: Uint8Array,
  passphrase: string,
  wallClock: () => UnixSeconds,
): Outcome<Membership> {
  const copy = openWithPassphrase(passphrase, sealed);
  const map = copy && decodeMap(copy, maxMembershipLength);
  const identity = map && NodeIdentity.decode(octetsField(map, 'identity', 1, 1024) ?? new Uint8Array(0));
  const bytes = map && octetsField(map, 'membership', 1, maxMembershipLength);
  if (!identity || !bytes) {
    throw new MeshError('bad-passphrase', 'the copy does not open', 'check the passphrase and that the file is whole');
  }
  const membership = Membership.restore(identity, bytes, wallClock);
  return {
    value: membership,
    effects: [
      persistIdentity(identity),
      { kind: 'persist', name: blobs.directory, bytes: encodeDirectory(octetLists(map.records)) },
      { kind: 'persist', name: blobs.membership, bytes },
    ],
  };
}
