import { isAgreementPublicKey, isSigningPublicKey, type PublicKey, type SigningKey } from '../crypto.js';
import type { UnixSeconds } from '../time.js';
import { type FieldMap, integerField, listField, octetsField, textField } from './fields.js';
import { namePattern } from './name.js';
import type { NetworkId } from './network.js';
import type { NodeNumber } from './node-number.js';
import type { Prefix } from './prefix.js';
import { prefixFromCbor, prefixToCbor } from './prefix-codec.js';
import { readStatement, type Statement, signStatement } from './statement.js';

/**
 * An issuer's word that a node is a member. A Statement labelled "weft node certificate", with the fields key
 * (Ed25519), dh (X25519), number, name, roles (absent: none), lan (absent: none), issued, expires, issuer (index).
 */
export interface NodeCertificate extends Statement {
  /** The node's identity. */
  readonly key: PublicKey;
  readonly dh: PublicKey;
  readonly number: NodeNumber;
  readonly name: string;
  readonly roles: readonly string[];
  /** LAN prefixes this node may announce as egress. */
  readonly lan: readonly Prefix[];
  readonly issued: UnixSeconds;
  readonly expires: UnixSeconds;
  readonly issuer: number;
}

export interface NodeGrant {
  readonly key: PublicKey;
  readonly dh: PublicKey;
  readonly number: NodeNumber;
  readonly name: string;
  readonly roles?: readonly string[];
  readonly lan?: readonly Prefix[];
  readonly issued: UnixSeconds;
  readonly expires: UnixSeconds;
  readonly issuer: number;
}

const maxRoles = 8;
const maxLanPrefixes = 16;

/** Signed by the issuer. */
export function issueNodeCertificate(network: NetworkId, issuerKey: SigningKey, grant: NodeGrant): NodeCertificate {
  const fields: FieldMap = {
    key: grant.key,
    dh: grant.dh,
    number: grant.number,
    name: grant.name,
    issued: grant.issued,
    expires: grant.expires,
    issuer: grant.issuer,
  };
  if (grant.roles?.length) fields.roles = [...grant.roles];
  if (grant.lan?.length) fields.lan = grant.lan.map(prefixToCbor);
  const certificate = decodeNodeCertificate(signStatement('weft node certificate', network, issuerKey, fields));
  if (!certificate) throw new RangeError('not a grant a certificate can carry');
  return certificate;
}

/** Shape only; the certificate chain verifies. */
export function decodeNodeCertificate(bytes: Uint8Array): NodeCertificate | undefined {
  const statement = readStatement(bytes);
  if (!statement) return undefined;
  const { fields } = statement;
  const key = octetsField(fields, 'key', 32);
  const dh = octetsField(fields, 'dh', 32);
  const number = integerField(fields, 'number', 1, 0xff_ffff);
  const name = textField(fields, 'name', namePattern);
  const roles = listField(fields, 'roles', maxRoles, (role) =>
    typeof role === 'string' && namePattern.test(role) ? role : undefined,
  );
  const lan = listField(fields, 'lan', maxLanPrefixes, prefixFromCbor);
  const issued = integerField(fields, 'issued', 0, Number.MAX_SAFE_INTEGER);
  const expires = integerField(fields, 'expires', 0, Number.MAX_SAFE_INTEGER);
  const issuer = integerField(fields, 'issuer', 0, 255);
  if (!key || !dh || number === undefined || name === undefined || !roles || !lan) return undefined;
  if (issued === undefined || expires === undefined || issuer === undefined || expires < issued) return undefined;
  if (!isSigningPublicKey(key) || !isAgreementPublicKey(dh)) return undefined;
  return { ...statement, key, dh, number, name, roles, lan, issued, expires, issuer };
}
