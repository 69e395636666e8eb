import { encodeCbor } from '../cbor.js';
import { VerifyingKey } from '../crypto.js';
import { asMap, decodeMap, octetsField } from './fields.js';
import { decodeIssuerCertificate, type IssuerCertificate, isIssuerCertificateOf } from './issuer-certificate.js';
import type { Network } from './network.js';
import { decodeNodeCertificate, type NodeCertificate } from './node-certificate.js';
import { nodePrefix } from './node-number.js';
import { isSignedBy, maxStatementLength } from './statement.js';

/** What a node shows to prove that it is a member: network key -> issuer -> node. CBOR {issuer: octets, node: octets}. */
export interface CertificateChain {
  readonly issuer: IssuerCertificate;
  readonly node: NodeCertificate;
}

export function encodeChain(chain: CertificateChain): Uint8Array {
  return encodeCbor({ issuer: chain.issuer.bytes, node: chain.node.bytes });
}

/** Shape only. `known`: looks an issuer's certificate up that was read before, by its octets. */
export function decodeChain(
  bytes: Uint8Array,
  known: (issuer: Uint8Array) => IssuerCertificate | undefined = () => undefined,
): CertificateChain | undefined {
  const map = asMap(decodeMap(bytes, 2 * maxStatementLength));
  const shown = (map && octetsField(map, 'issuer', 1, maxStatementLength)) ?? new Uint8Array(0);
  const issuer = map && (known(shown) ?? decodeIssuerCertificate(shown));
  const node = map && decodeNodeCertificate(octetsField(map, 'node', 1, maxStatementLength) ?? new Uint8Array(0));
  return issuer && node && { issuer, node };
}

/** Why a chain is void; undefined: it holds. Time and revocation are asked elsewhere. */
export type ChainFault = 'issuer-not-of-network' | 'not-signed-by-issuer' | 'outside-sub-prefix' | 'lan-inside-network';

/** Checks a chain against the network key only. */
export function chainFault(network: Network, chain: CertificateChain): ChainFault | undefined {
  if (!isIssuerCertificateOf(network, chain.issuer)) return 'issuer-not-of-network';
  return nodeCertificateFault(network, chain.issuer, VerifyingKey.from(chain.issuer.key), chain.node);
}

/** The same below an issuer already verified, whose key was made ready once. */
export function nodeCertificateFault(
  network: Network,
  issuer: IssuerCertificate,
  issuerKey: VerifyingKey | undefined,
  node: NodeCertificate,
): ChainFault | undefined {
  if (node.number >= 2 ** (64 - network.prefix.length)) return 'outside-sub-prefix';
  if (node.issuer !== issuer.index || !issuer.prefix.covers(nodePrefix(network.prefix, node.number))) {
    return 'outside-sub-prefix';
  }
  if (!isSignedBy(node, 'weft node certificate', network.id, issuerKey)) return 'not-signed-by-issuer';
  const overlaps = node.lan.some((lan) => lan.covers(network.prefix) || network.prefix.covers(lan));
  return overlaps ? 'lan-inside-network' : undefined;
}
