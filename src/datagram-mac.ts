import { concatBytes, utf8 } from './bytes.js';
import { constantTimeEqual, hmacSha256, type PublicKey, sha256 } from './crypto.js';

/**
 * The end of every handshake-class datagram (types 0x01, 0x02 and 0x04 to 0x06): body ‖ mac1 16 ‖ mac2 16.
 *
 * mac1 = the first 16 octets of HMAC-SHA256(SHA-256("weft mac1" ‖ receiver's X25519 public key), body). Who does not
 * know the receiver's public key gets silence. mac2 is keyed by a cookie when the receiver is under load, else zero.
 */
export const datagramMacLength = 16;
/** Both together. */
export const datagramMacsLength = 2 * datagramMacLength;

const label = utf8('weft mac1');

/** The key under which datagrams to this node carry mac1: 32 octets, worth keeping. */
export function mac1Key(receiverPublicKey: PublicKey): Uint8Array {
  return sha256(label, receiverPublicKey);
}

/** body ‖ mac1 ‖ mac2; `cookie` (16 octets, of the receiver's last cookie reply) keys mac2 over body ‖ mac1. */
export function appendMacs(receiverPublicKey: PublicKey, body: Uint8Array, cookie?: Uint8Array): Uint8Array {
  const first = concatBytes(body, hmacSha256(mac1Key(receiverPublicKey), body).subarray(0, datagramMacLength));
  const mac2 = cookie ? hmacSha256(cookie, first).subarray(0, datagramMacLength) : new Uint8Array(datagramMacLength);
  return concatBytes(first, mac2);
}

/** True when mac1 fits; `key` is mac1Key of our own public key. */
export function checkMac1(key: Uint8Array, datagram: Uint8Array): boolean {
  const end = datagram.length - datagramMacsLength;
  if (end < 0) return false;
  const expected = hmacSha256(key, datagram.subarray(0, end)).subarray(0, datagramMacLength);
  return constantTimeEqual(expected, datagram.subarray(end, end + datagramMacLength));
}

/** The datagram without its macs; undefined when it is shorter than they are. */
export function withoutMacs(datagram: Uint8Array): Uint8Array | undefined {
  return datagram.length < datagramMacsLength ? undefined : datagram.subarray(0, datagram.length - datagramMacsLength);
}
