import { isSigningPublicKey, type PublicKey, type SigningKey, sha256 } from '../crypto.js';
import type { UnixSeconds } from '../time.js';
import { integerField, octetsField, textField } from './fields.js';
import type { NetworkId } from './network.js';
import { readStatement, type Statement, signStatement } from './statement.js';

/**
 * One signed statement about one key (docs/protocol/addr.md, Revocation). A Statement labelled "weft node revocation"
 * (by an issuer: its key in `by`) or "weft issuer revocation" (by the network key), with the fields kind, key, by, at,
 * since.
 */
export type Revocation = NodeRevocation | IssuerRevocation;

/** This node is no member any more. */
export interface NodeRevocation extends Statement {
  readonly kind: 'node';
  readonly key: PublicKey;
  /** The issuer's Ed25519 key. */
  readonly by: PublicKey;
  readonly at: UnixSeconds;
}

/**
 * This issuer may not admit any more: what it signs with a time at or after `since` is void. A thief of its key can
 * date back, so `since` is 0 when the key was stolen (its nodes are then invited again), and the present when a machine
 * retires.
 */
export interface IssuerRevocation extends Statement {
  readonly kind: 'issuer';
  readonly key: PublicKey;
  readonly at: UnixSeconds;
  readonly since: UnixSeconds;
}

export function revokeNode(
  network: NetworkId,
  issuerKey: SigningKey,
  about: { readonly key: PublicKey; readonly at: UnixSeconds },
): NodeRevocation {
  const fields = { kind: 'node', key: about.key, by: issuerKey.publicKey, at: about.at };
  return decodeRevocation(signStatement('weft node revocation', network, issuerKey, fields)) as NodeRevocation;
}

export function revokeIssuer(
  network: NetworkId,
  networkKey: SigningKey,
  about: { readonly key: PublicKey; readonly at: UnixSeconds; readonly since: UnixSeconds },
): IssuerRevocation {
  const fields = { kind: 'issuer', key: about.key, at: about.at, since: about.since };
  return decodeRevocation(signStatement('weft issuer revocation', network, networkKey, fields)) as IssuerRevocation;
}

/** Shape only; membership verifies. */
export function decodeRevocation(bytes: Uint8Array): Revocation | undefined {
  const statement = readStatement(bytes);
  if (!statement) return undefined;
  const { fields } = statement;
  const kind = textField(fields, 'kind', /^(node|issuer)$/);
  const key = octetsField(fields, 'key', 32);
  const at = integerField(fields, 'at', 0, Number.MAX_SAFE_INTEGER);
  if (!kind || !key || at === undefined || !isSigningPublicKey(key)) return undefined;
  if (kind === 'issuer') {
    const since = integerField(fields, 'since', 0, Number.MAX_SAFE_INTEGER);
    return since === undefined ? undefined : { ...statement, kind, key, at, since };
  }
  const by = octetsField(fields, 'by', 32);
  return by && isSigningPublicKey(by) ? { ...statement, kind: 'node', key, by, at } : undefined;
}

/** 16 octets that stand for a statement in digests: the start of SHA-256 of its octets. */
export function statementHash(statement: Statement): Uint8Array {
  return sha256(statement.bytes).subarray(0, 16);
}
