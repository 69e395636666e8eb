import { isAgreementPublicKey, isSigningPublicKey, type PublicKey, type SigningKey } from '../crypto.js';
import type { UnixSeconds } from '../time.js';
import { integerField, octetsField } from './fields.js';
import { isNetworkPrefix, issuerPrefix, type Network } from './network.js';
import type { NodeNumber } from './node-number.js';
import type { Prefix } from './prefix.js';
import { prefixFromCbor, prefixToCbor } from './prefix-codec.js';
import { isSignedBy, readStatement, type Statement, signStatement } from './statement.js';

/**
 * The network key's word that a node may admit others, into its own sub-prefix only. A Statement labelled "weft issuer
 * certificate", with the fields index, key (Ed25519), dh (X25519), number, network (prefix), prefix (sub-prefix), issued.
 */
export interface IssuerCertificate extends Statement {
  readonly index: number;
  readonly key: PublicKey;
  readonly dh: PublicKey;
  /** The issuer's own node number: where joining exchanges are passed on to. */
  readonly number: NodeNumber;
  readonly networkPrefix: Prefix;
  /** Only the holder assigns node numbers in it. */
  readonly prefix: Prefix;
  readonly issued: UnixSeconds;
}

export interface IssuerGrant {
  readonly index: number;
  readonly key: PublicKey;
  readonly dh: PublicKey;
  readonly number: NodeNumber;
  readonly issued: UnixSeconds;
}

/** Signed by the network key. Throws a RangeError when the network has no such index. */
export function issueIssuerCertificate(
  network: Network,
  networkKey: SigningKey,
  grant: IssuerGrant,
): IssuerCertificate {
  const prefix = issuerPrefix(network.prefix, grant.index);
  if (!prefix) throw new RangeError('no such issuer index');
  const bytes = signStatement('weft issuer certificate', network.id, networkKey, {
    index: grant.index,
    key: grant.key,
    dh: grant.dh,
    number: grant.number,
    network: prefixToCbor(network.prefix),
    prefix: prefixToCbor(prefix),
    issued: grant.issued,
  });
  return decodeIssuerCertificate(bytes)!;
}

/** Shape only; `isIssuerCertificateOf` verifies. */
export function decodeIssuerCertificate(bytes: Uint8Array): IssuerCertificate | undefined {
  const statement = readStatement(bytes);
  if (!statement) return undefined;
  const { fields } = statement;
  const index = integerField(fields, 'index', 0, 255);
  const key = octetsField(fields, 'key', 32);
  const dh = octetsField(fields, 'dh', 32);
  const number = integerField(fields, 'number', 1, 0xff_ffff);
  const networkPrefix = prefixFromCbor(fields.network);
  const prefix = prefixFromCbor(fields.prefix);
  const issued = integerField(fields, 'issued', 0, Number.MAX_SAFE_INTEGER);
  if (index === undefined || !key || !dh || number === undefined || issued === undefined) return undefined;
  if (!networkPrefix || !prefix || !isNetworkPrefix(networkPrefix)) return undefined;
  if (prefix.length > 64 || !networkPrefix.covers(prefix)) return undefined;
  if (!isSigningPublicKey(key) || !isAgreementPublicKey(dh)) return undefined;
  return { ...statement, index, key, dh, number, networkPrefix, prefix, issued };
}

/** True when the network key signed it for this network. */
export function isIssuerCertificateOf(network: Network, certificate: IssuerCertificate): boolean {
  return (
    certificate.networkPrefix.key === network.prefix.key &&
    isSignedBy(certificate, 'weft issuer certificate', network.id, network.key)
  );
}
