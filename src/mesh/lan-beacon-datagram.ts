import type { NodeNumber } from '../addr/node-number.js';
import { concatBytes, utf8 } from '../bytes.js';
import { constantTimeEqual, hmacSha256 } from '../crypto.js';

/**
 * What a member says into its LAN, to all and in no order; 36 octets, for strangers without meaning:
 *
 *      0                              11 12            15 16    17 18            19 20                          35
 *     +---------------------------------+----------------+--------+----------------+-----------------------------+
 *     |          nonce, random          | node number u32|port u16|     flags      |             tag             |
 *     +---------------------------------+----------------+--------+----------------+-----------------------------+
 *                                       └───────── masked ────────────────────────┘
 *
 * key = HMAC-SHA256(network id, "weft lan beacon"); tag = the first 16 octets of HMAC(key, 1 ‖ nonce ‖ what is masked, bare);
 * mask = the first 8 octets of HMAC(key, 0 ‖ nonce). Who does not know the network id learns only that somebody runs weft. The tag
 * shows no more than that the sender knows the network id: who is at the address is shown by the handshake alone.
 */
export const beaconLength = 36;

export interface Beacon {
  readonly node: NodeNumber;
  /** Of its tunnels, UDP. */
  readonly port: number;
  /** It has just begun and knows nobody here: who hears it says a beacon of its own. */
  readonly asks: boolean;
}

const asksFlag = 1;

const label = utf8('weft lan beacon');

/** The key of a network's beacons, worth keeping: 32 octets. */
export function beaconKey(networkId: Uint8Array): Uint8Array {
  return hmacSha256(networkId, label);
}

/** `nonce`: 12 fresh octets. */
export function encodeBeacon(key: Uint8Array, { node, port, asks }: Beacon, nonce: Uint8Array): Uint8Array {
  const bare = new Uint8Array(8);
  const view = new DataView(bare.buffer);
  view.setUint32(0, node);
  view.setUint16(4, port);
  view.setUint16(6, asks ? asksFlag : 0);
  return concatBytes(nonce, masked(key, nonce, bare), tagOf(key, nonce, bare));
}

/** Undefined when it is not of this network, or malformed. */
export function decodeBeacon(key: Uint8Array, bytes: Uint8Array): Beacon | undefined {
  if (bytes.length !== beaconLength) return undefined;
  const nonce = bytes.subarray(0, 12);
  const bare = masked(key, nonce, bytes.subarray(12, 20));
  if (!constantTimeEqual(tagOf(key, nonce, bare), bytes.subarray(20))) return undefined;
  const view = new DataView(bare.buffer, bare.byteOffset);
  const [node, port] = [view.getUint32(0), view.getUint16(4)];
  const asks = (view.getUint16(6) & asksFlag) !== 0;
  return node > 0 && node < 2 ** 24 && port > 0 ? { node, port, asks } : undefined;
}

function masked(key: Uint8Array, nonce: Uint8Array, octets: Uint8Array): Uint8Array {
  const mask = hmacSha256(key, Uint8Array.of(0), nonce);
  return octets.map((octet, i) => octet ^ mask[i]!);
}

function tagOf(key: Uint8Array, nonce: Uint8Array, bare: Uint8Array): Uint8Array {
  return hmacSha256(key, Uint8Array.of(1), nonce, bare).subarray(0, 16);
}
