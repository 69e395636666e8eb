import type { InvitingMember } from '../addr/invitation.js';
import { tlsEndpointFromCbor, tlsEndpointToCbor } from '../addr/tls-endpoint.js';
import { type CborValue, decodeCbor, encodeCbor } from '../cbor.js';

/** The blob "seeds": the members our invitation named, [[number, dh, address, port, tls?], ...]. */
export function encodeSeeds(seeds: readonly InvitingMember[]): Uint8Array {
  return encodeCbor(
    seeds.map(({ number, dh, endpoint, tls }) => [
      number,
      dh,
      endpoint.address,
      endpoint.port,
      ...(tls ? [tlsEndpointToCbor(tls)] : []),
    ]),
  );
}

/** What is unreadable is left out: seeds only help a node that has forgotten everybody. */
export function decodeSeeds(bytes: Uint8Array | undefined): InvitingMember[] {
  const list = bytes && decodeCbor(bytes);
  return Array.isArray(list) ? list.map(seedOf).filter((seed) => seed !== undefined) : [];
}

function seedOf(value: CborValue): InvitingMember | undefined {
  if (!Array.isArray(value)) return undefined;
  const [number, dh, address, port, fifth] = value;
  if (typeof number !== 'number' || !(dh instanceof Uint8Array) || dh.length !== 32) return undefined;
  if (typeof address !== 'string' || typeof port !== 'number') return undefined;
  const tls = tlsEndpointFromCbor(fifth);
  return { number, dh, endpoint: { address, port }, ...(tls && { tls }) };
}
