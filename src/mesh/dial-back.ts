import type { Endpoint } from '../addr/endpoint.js';
import { endpointFromCbor, endpointToCbor } from '../addr/endpoint-cbor.js';
import { type FieldMap, integerField, octetsField } from '../addr/fields.js';
import { concatBytes } from '../bytes.js';
import { encodeCbor } from '../cbor.js';

/**
 * The messages of a dial-back (docs/protocol/reachability.md), CBOR maps through the tunnel but for the datagram:
 *
 *   asker ──► prover    {t: "dialback", n: 8 octets, e: [address, port]}   please try this endpoint of mine
 *   prover ─► endpoint  datagram of type dialBack: n 8 ‖ m 8               from a fresh port
 *   asker ──► prover    {t: "dialed", n, m}                                it came
 *   prover ─► asker     {t: "dialproof", n}                                so it is proven
 *   prover ─► asker     {t: "dialno", n, r: reason}                        instead: not dialled
 */
export type DialBackMessage =
  | { readonly kind: 'ask'; readonly nonce: Uint8Array; readonly endpoint: Endpoint }
  | { readonly kind: 'arrived'; readonly nonce: Uint8Array; readonly proof: Uint8Array }
  | { readonly kind: 'proven'; readonly nonce: Uint8Array }
  | { readonly kind: 'refused'; readonly nonce: Uint8Array; readonly reason: DialBackRefusal };

/** notYours: the asker's frames come from another address. busy: over a limit. */
export type DialBackRefusal = 'notYours' | 'busy';

const refusals: readonly DialBackRefusal[] = ['notYours', 'busy'];
const nonceLength = 8;

/** The texts of `t` that are for dial-back. */
export const dialBackTypes = ['dialback', 'dialed', 'dialproof', 'dialno'] as const;

/** The octets are the caller's. */
export function encodeDialBack(message: DialBackMessage): Uint8Array {
  switch (message.kind) {
    case 'ask':
      return encodeCbor({ t: 'dialback', n: message.nonce, e: endpointToCbor(message.endpoint) });
    case 'arrived':
      return encodeCbor({ t: 'dialed', n: message.nonce, m: message.proof });
    case 'proven':
      return encodeCbor({ t: 'dialproof', n: message.nonce });
    case 'refused':
      return encodeCbor({ t: 'dialno', n: message.nonce, r: refusals.indexOf(message.reason) });
  }
}

/** Undefined when the map is none of these, or malformed. */
export function decodeDialBack(map: FieldMap): DialBackMessage | undefined {
  const nonce = octetsField(map, 'n', nonceLength);
  if (!nonce) return undefined;
  if (map.t === 'dialproof') return { kind: 'proven', nonce };
  if (map.t === 'dialback') {
    const endpoint = endpointFromCbor(map.e);
    return endpoint && { kind: 'ask', nonce, endpoint };
  }
  if (map.t === 'dialed') {
    const proof = octetsField(map, 'm', nonceLength);
    return proof && { kind: 'arrived', nonce, proof };
  }
  const reason = map.t === 'dialno' ? refusals[integerField(map, 'r', 0, refusals.length - 1) ?? -1] : undefined;
  return reason && { kind: 'refused', nonce, reason };
}

/** What follows the type octet of the datagram: 16 octets, far below the 64 it may measure. */
export function encodeDialBackBody(nonce: Uint8Array, proof: Uint8Array): Uint8Array {
  return concatBytes(nonce, proof);
}

export function decodeDialBackBody(body: Uint8Array): { nonce: Uint8Array; proof: Uint8Array } | undefined {
  if (body.length !== 2 * nonceLength) return undefined;
  return { nonce: body.slice(0, nonceLength), proof: body.slice(nonceLength) };
}
