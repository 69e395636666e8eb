import { decodeMap, type FieldMap } from '../addr/fields.js';
import type { NodeNumber } from '../addr/node-number.js';
import { concatBytes, utf8 } from '../bytes.js';
import { encodeCbor } from '../cbor.js';
import { type AeadName, aeadTagLength, sha256 } from '../crypto.js';
import { appendMacs, datagramMacsLength, withoutMacs } from '../datagram-mac.js';

/**
 * The datagrams of the joining exchange (PROTOCOL.md, Joining). Big-endian.
 *
 *  0                   1                   2                   3
 *  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
 * +---------------+-----------------------------------------------+
 * |     type      |                     zero                      |
 * +---------------+-----------------------------------------------+
 * |              the issuer's node number (answers too)           |
 * +---------------------------------------------------------------+
 * |                                                               |
 * +             exchange id, chosen by the joiner                 +
 * |                                                               |
 * +---------------------------------------------------------------+
 * |  part: Noise IKpsk2 message 1 (initiation) or 2 (response),   |
 * |  or one sealed message (transport), this header authenticated |
 * +---------------------------------------------------------------+
 * |                   mac1 16  ‖  mac2 16                         |
 * +---------------------------------------------------------------+
 *
 * The macs are for the node the datagram is sent to; a member passes header and part on without them.
 */
export const JoinType = { initiation: 0x04, response: 0x05, transport: 0x06 } as const;
export type JoinType = (typeof JoinType)[keyof typeof JoinType];

export interface JoinMessage {
  readonly type: JoinType;
  readonly issuer: NodeNumber;
  /** 8 octets. */
  readonly exchange: Uint8Array;
  readonly part: Uint8Array;
}

export const exchangeIdLength = 8;
const headerLength = 8 + exchangeIdLength;

/** Every request is this long, so that no answer is longer; with what carries it on, it fits a control message. */
export const requestDatagramLength = 1100;
export const transportPlaintextLength = requestDatagramLength - headerLength - aeadTagLength - datagramMacsLength;

/** The one AEAD and the one nonce of the transport part: each key seals one message. */
export const joinCipher: AeadName = 'chacha20-poly1305';
export const joinNonce: Uint8Array = new Uint8Array(12);

export function joinHeader(message: Omit<JoinMessage, 'part'>): Uint8Array {
  const header = new Uint8Array(headerLength);
  header[0] = message.type;
  new DataView(header.buffer).setUint32(4, message.issuer);
  header.set(message.exchange, 8);
  return header;
}

/** Header ‖ part, as members pass it on. */
export function encodeJoinBody(message: JoinMessage): Uint8Array {
  return concatBytes(joinHeader(message), message.part);
}

/** The whole datagram, for the node with this X25519 key. `cookie`: 16 octets, if it asked for one. */
export function encodeJoinDatagram(message: JoinMessage, receiver: Uint8Array, cookie?: Uint8Array): Uint8Array {
  return appendMacs(receiver, encodeJoinBody(message), cookie);
}

export function decodeJoinBody(body: Uint8Array): JoinMessage | undefined {
  const type = body[0];
  const isJoin = type === JoinType.initiation || type === JoinType.response || type === JoinType.transport;
  if (!isJoin || body.length < headerLength || body.length > requestDatagramLength) return undefined;
  const issuer = new DataView(body.buffer, body.byteOffset, body.length).getUint32(4);
  if (issuer > 0xff_ffff) return undefined;
  return { type, issuer, exchange: body.slice(8, headerLength), part: body.slice(headerLength) };
}

/** The macs are checked before, by the guard of the plane. */
export function decodeJoinDatagram(datagram: Uint8Array): JoinMessage | undefined {
  const body = withoutMacs(datagram);
  return body && decodeJoinBody(body);
}

/** What a transport part seals: length u16 ‖ CBOR map, then zeros up to `padTo`. Undefined when it does not fit. */
export function encodeJoinPlaintext(fields: FieldMap, padTo = 0): Uint8Array | undefined {
  const body = encodeCbor(fields);
  if (2 + body.length > transportPlaintextLength) return undefined;
  const plaintext = new Uint8Array(Math.max(2 + body.length, padTo));
  plaintext[0] = body.length >> 8;
  plaintext[1] = body.length & 0xff;
  plaintext.set(body, 2);
  return plaintext;
}

export function decodeJoinPlaintext(plaintext: Uint8Array): FieldMap | undefined {
  if (plaintext.length < 2) return undefined;
  const end = 2 + ((plaintext[0]! << 8) | plaintext[1]!);
  return end > plaintext.length ? undefined : decodeMap(plaintext.subarray(2, end));
}

const prologueLabel = utf8('weft 1');
const tokenLabel = utf8('weft token');

export function joinPrologue(networkId: Uint8Array): Uint8Array {
  return concatBytes(prologueLabel, networkId);
}

/** The pre-shared key of IKpsk2: SHA-256("weft token" ‖ token id ‖ secret). */
export function joinPreSharedKey(id: Uint8Array, secret: Uint8Array): Uint8Array {
  return sha256(tokenLabel, id, secret);
}

/** With which the issuer says that it knows no such token: nobody else could, its own key being in the exchange. */
export const unknownTokenKey: Uint8Array = new Uint8Array(32);
