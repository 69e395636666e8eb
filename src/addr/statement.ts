import { concatBytes } from '../bytes.js';
import { encodeCbor } from '../cbor.js';
import { type SignatureLabel, type SigningKey, signatureLength, signed, type VerifyingKey } from '../crypto.js';
import { decodeMap, type FieldMap } from './fields.js';
import type { NetworkId } from './network.js';

/**
 * Everything signed in weft has one form:
 *
 * +------------------+----------------------------+
 * | Ed25519 sign. 64 | CBOR map, to the end       |
 * +------------------+----------------------------+
 *
 * signed is label ‖ 0 ‖ network id ‖ CBOR. The octets that came are kept and forwarded as they are, so fields a newer
 * version added survive and the signature keeps fitting.
 */
export interface Statement {
  /** signature ‖ body, as it came; never written to. */
  readonly bytes: Uint8Array;
  readonly fields: FieldMap;
}

/** Certificates, revocations and records are at most this long: a handshake carries two, a control message any. */
export const maxStatementLength = 1024;

/** Signature ‖ CBOR of the fields. Throws when it would be too long: our bug, the values are bounded. */
export function signStatement(
  label: SignatureLabel,
  network: NetworkId,
  key: SigningKey,
  fields: FieldMap,
): Uint8Array {
  const body = encodeCbor(fields);
  if (body.length + signatureLength > maxStatementLength) throw new RangeError('statement too long');
  return concatBytes(key.sign(signed(label, network, body)), body);
}

/** Whether `signStatement` would take these fields. */
export function fitsStatement(fields: FieldMap): boolean {
  return encodeCbor(fields).length + signatureLength <= maxStatementLength;
}

/** The fields, unverified; undefined when it is no statement. */
export function readStatement(bytes: Uint8Array): Statement | undefined {
  if (bytes.length <= signatureLength || bytes.length > maxStatementLength) return undefined;
  const own = new Uint8Array(bytes);
  const fields = decodeMap(own.subarray(signatureLength));
  return fields && { bytes: own, fields };
}

/** True when `key` signed these octets as this kind of thing in this network. */
export function isSignedBy(
  statement: Statement,
  label: SignatureLabel,
  network: NetworkId,
  key: VerifyingKey | undefined,
): boolean {
  const body = statement.bytes.subarray(signatureLength);
  return key?.verify(signed(label, network, body), statement.bytes.subarray(0, signatureLength)) ?? false;
}
