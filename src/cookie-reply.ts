import { concatBytes, utf8 } from './bytes.js';
import { aeadOpen, aeadSeal, hmacSha256, type PublicKey, sha256 } from './crypto.js';
import { datagramMacLength } from './datagram-mac.js';

/**
 * What a node under load answers instead of doing a Diffie-Hellman: a cookie, by which the asker shows that it receives
 * what is sent to the address it sends from. The asker repeats its request with mac2 keyed by the cookie.
 *
 *  0                   1                   2                   3
 *  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
 * +---------------+-----------------------------------------------+
 * |  type = 0x03  |                     zero                      |
 * +---------------+-----------------------------------------------+
 * |            first 8 octets of the mac1 it answers              |
 * |                                                               |
 * +---------------------------------------------------------------+
 * |                           nonce 12                            |
 * +---------------------------------------------------------------+
 * |                    sealed cookie 16 + tag 16                  |
 * +---------------------------------------------------------------+
 *
 * ChaCha20-Poly1305, key = HMAC-SHA256(SHA-256("weft cookie" ‖ answering node's X25519 public key), mac1), AAD = the
 * first 12 octets: only who knows that key and has seen the request can read the cookie or make one up.
 */
export const cookieReplyLength = 56;
export const cookieLength = 16;

const typeOctet = 0x03;
const label = utf8('weft cookie');

/** The key from which cookie replies of this node are sealed: 32 octets, worth keeping. */
export function cookieReplyKey(answeringPublicKey: PublicKey): Uint8Array {
  return sha256(label, answeringPublicKey);
}

/** A cookie reply, the caller's. `mac1`: 16 octets of the request; `nonce`: 12 fresh octets. */
export function sealCookieReply(key: Uint8Array, mac1: Uint8Array, cookie: Uint8Array, nonce: Uint8Array): Uint8Array {
  const head = new Uint8Array(12);
  head[0] = typeOctet;
  head.set(mac1.subarray(0, 8), 4);
  return concatBytes(head, nonce, aeadSeal('chacha20-poly1305', hmacSha256(key, mac1), nonce, cookie, head));
}

/** The cookie (16 octets, the caller's), or undefined when the reply is not to the request that carried this mac1. */
export function openCookieReply(
  answeringPublicKey: PublicKey,
  mac1: Uint8Array,
  reply: Uint8Array,
): Uint8Array | undefined {
  if (reply.length !== cookieReplyLength || reply[0] !== typeOctet) return undefined;
  for (let i = 0; i < 8; i++) if (reply[4 + i] !== mac1[i]) return undefined;
  const key = hmacSha256(cookieReplyKey(answeringPublicKey), mac1);
  return aeadOpen('chacha20-poly1305', key, reply.subarray(12, 24), reply.subarray(24), reply.subarray(0, 12));
}

/** The mac1 of a datagram that ends with both macs: 16 octets, a view. */
export function mac1Of(datagram: Uint8Array): Uint8Array {
  return datagram.subarray(datagram.length - 2 * datagramMacLength, datagram.length - datagramMacLength);
}
