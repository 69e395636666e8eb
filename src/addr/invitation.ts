import { fromBase32, toBase32 } from '../base32.js';
import { concatBytes, equalBytes, utf8 } from '../bytes.js';
import { type CborValue, encodeCbor } from '../cbor.js';
import { isAgreementPublicKey, isSigningPublicKey, type PublicKey, sha256 } from '../crypto.js';
import { MeshError } from '../errors.js';
import type { UnixSeconds } from '../time.js';
import { type Endpoint, isUsableEndpoint } from './endpoint.js';
import { endpointFromCbor, endpointToCbor } from './endpoint-cbor.js';
import { decodeMap, type FieldMap, integerField, listField, octetsField, textField } from './fields.js';
import { namePattern } from './name.js';
import type { NodeNumber } from './node-number.js';
import { announcedTls, type TlsEndpoint, tlsEndpointFromCbor, tlsEndpointToCbor } from './tls-endpoint.js';

/** A member that passes the joining exchange on. */
export interface InvitingMember {
  readonly number: NodeNumber;
  readonly dh: PublicKey;
  readonly endpoint: Endpoint;
  /** Where it takes TLS connections, if it does. */
  readonly tls?: TlsEndpoint;
}

/**
 * A one-time token, minted by one issuer and redeemed only there. As text: "weft1", then base32 of CBOR ‖ the first 4
 * octets of SHA-256("weft invitation" ‖ CBOR). The CBOR map has the fields net, issuer, dh, id, secret, expires, name
 * (absent: none) and members [[number, dh, address, port, tls?], ...], tls as in src/addr/tls-endpoint.ts. Whoever
 * holds it may join once: treat the text as a secret.
 */
export interface Invitation {
  /** The network's public key. */
  readonly network: PublicKey;
  /** The issuer's node number and X25519 key. */
  readonly issuer: NodeNumber;
  readonly dh: PublicKey;
  /** 8 octets; names the token at its issuer. */
  readonly id: Uint8Array;
  /** 16 octets; the pre-shared key of the joining exchange is drawn from it. */
  readonly secret: Uint8Array;
  readonly expires: UnixSeconds;
  /** What the issuer would call the newcomer. */
  readonly name: string | undefined;
  readonly members: readonly InvitingMember[];
}

export const maxInvitingMembers = 4;
export const tokenIdLength = 8;
export const tokenSecretLength = 16;

const scheme = 'weft1';
const checksumLabel = utf8('weft invitation');
const checksumLength = 4;
const maxTextLength = 2048;

export function encodeInvitation(invitation: Invitation): string {
  const fields: FieldMap = {
    net: invitation.network,
    issuer: invitation.issuer,
    dh: invitation.dh,
    id: invitation.id,
    secret: invitation.secret,
    expires: invitation.expires,
    members: invitation.members.slice(0, maxInvitingMembers).map(({ number, dh, endpoint, tls }) => {
      const also = tls ? announcedTls([tls]).map(tlsEndpointToCbor) : [];
      return [number, dh, ...endpointToCbor(endpoint), ...also];
    }),
  };
  if (invitation.name !== undefined) fields.name = invitation.name;
  const body = encodeCbor(fields);
  return scheme + toBase32(concatBytes(body, checksum(body)));
}

/** The token in this text, white space and case aside; undefined when it is malformed or cut short. */
export function decodeInvitation(text: string): Invitation | undefined {
  if (text.length > maxTextLength) return undefined;
  const bare = text.replace(/\s/g, '').toLowerCase();
  const octets = bare.startsWith(scheme) ? fromBase32(bare.slice(scheme.length)) : undefined;
  if (!octets || octets.length < checksumLength) return undefined;
  const body = octets.subarray(0, octets.length - checksumLength);
  if (!equalBytes(checksum(body), octets.subarray(body.length))) return undefined;
  const fields = decodeMap(body);
  return fields && invitationOf(fields);
}

/** The same for an operator's text: throws a MeshError. */
export function requireInvitation(text: string): Invitation {
  const invitation = decodeInvitation(text);
  if (invitation) return invitation;
  const cure = 'copy the whole line that "weft invite" printed; it begins with weft1';
  throw new MeshError('token-malformed', 'this is no invitation token, or a part of it is missing', cure);
}

function checksum(body: Uint8Array): Uint8Array {
  return sha256(checksumLabel, body).subarray(0, checksumLength);
}

function invitationOf(fields: FieldMap): Invitation | undefined {
  const network = octetsField(fields, 'net', 32);
  const issuer = integerField(fields, 'issuer', 1, 0xff_ffff);
  const dh = octetsField(fields, 'dh', 32);
  const id = octetsField(fields, 'id', tokenIdLength);
  const secret = octetsField(fields, 'secret', tokenSecretLength);
  const expires = integerField(fields, 'expires', 0, Number.MAX_SAFE_INTEGER);
  const name = fields.name === undefined ? undefined : textField(fields, 'name', namePattern);
  const members = listField(fields, 'members', maxInvitingMembers, memberFromCbor);
  if (!network || issuer === undefined || !dh || !id || !secret || expires === undefined) return undefined;
  if (!members || (name === undefined && fields.name !== undefined)) return undefined;
  if (!isSigningPublicKey(network) || !isAgreementPublicKey(dh)) return undefined;
  return { network, issuer, dh, id, secret, expires, name, members };
}

function memberFromCbor(value: CborValue): InvitingMember | undefined {
  if (!Array.isArray(value) || value.length < 4) return undefined;
  const [number, dh, address, port, fifth] = value;
  const endpoint = endpointFromCbor([address!, port!]);
  const tls = tlsEndpointFromCbor(fifth);
  if (fifth !== undefined && !tls) return undefined;
  if (typeof number !== 'number' || !Number.isInteger(number) || number < 1 || number > 0xff_ffff) return undefined;
  if (!(dh instanceof Uint8Array) || !isAgreementPublicKey(dh) || !endpoint || !isUsableEndpoint(endpoint)) {
    return undefined;
  }
  return { number, dh, endpoint, ...(tls && { tls }) };
}
