import type { NodeNumber } from '../addr/node-number.js';
import { signed, VerifyingKey } from '../crypto.js';
import type { Mesh } from '../mesh/mesh.js';
import type { OriginAuthority } from '../routing/contract.js';

/** Keys made ready for verifying, by node; forgotten all at once when there are too many. */
const maxKeys = 4096;

/** Origin signatures by the certificates the directory holds (docs/protocol/babel.md, Origin signature). */
export function certificateAuthority(mesh: Mesh): OriginAuthority {
  const { membership, directory } = mesh;
  const keys = new Map<NodeNumber, VerifyingKey>();
  const label = (octets: Uint8Array) => signed('weft origin', membership.network.id, octets);
  const keyOf = (node: NodeNumber, publicKey: Uint8Array): VerifyingKey | undefined => {
    const known = keys.get(node);
    if (known && Buffer.compare(known.publicKey, publicKey) === 0) return known;
    if (keys.size >= maxKeys) keys.clear();
    const key = VerifyingKey.from(publicKey);
    if (key) keys.set(node, key);
    return key;
  };
  const certificateOf = (node: NodeNumber) =>
    node === membership.number ? membership.chain.node : directory.certificateOf(node);
  return {
    sign: (octets) => membership.identity.signing.sign(label(octets)),
    verify(node, octets, signature) {
      const certificate = certificateOf(node);
      if (!certificate) return 'unknown';
      return keyOf(node, certificate.key)?.verify(label(octets), signature) ? 'valid' : 'invalid';
    },
    grants: (node, prefix) =>
      certificateOf(node)?.lan.some((lan) => lan.isIpv4 === prefix.isIpv4 && lan.covers(prefix)) ?? false,
  };
}
