import type { Endpoint } from '../addr/endpoint.js';
import { formatIp, parseIp } from '../addr/ip.js';
import { concatBytes, octetsOf64 } from '../bytes.js';
import { type CborValue, decodeCbor, encodeCbor } from '../cbor.js';
import { ControlChannel } from './frame.js';

/**
 * What the two ends of a link tell each other in control frames: octet 3 (ControlChannel.tunnel) ‖ CBOR map.
 *
 *     {t: "hello", a: address, p: port}   the initiator's first frame; a and p: where it sees the other side, if it can say
 *     {t: "probe", n: nonce}              are you there?
 *     {t: "echo", n: nonce}               I am
 *     {t: "part", r: reason}              the tunnel ends, the keys go on serving over the overlay; no answer
 *     {t: "bye", r: reason, i: start}     all of the link ends; no answer. i: 8 octets, only to a second machine with a key:
 *                                         the incarnation of the first
 *     {t: "second", d: proof, a, p}       such a machine's proof that it is there (src/addr/second-machine.ts): its answer to the
 *                                         bye, and to the first with where it was heard from
 *
 * address: 16 octets, IPv4 as ::ffff:a.b.c.d; nonce: 8 octets; reason: text of at most 64 octets.
 */
export type LinkMessage =
  | { readonly kind: 'hello'; readonly observed: Endpoint | undefined }
  | { readonly kind: 'probe'; readonly nonce: Uint8Array }
  | { readonly kind: 'echo'; readonly nonce: Uint8Array }
  | { readonly kind: 'part'; readonly reason: string }
  | { readonly kind: 'bye'; readonly reason: string; readonly first?: bigint }
  | { readonly kind: 'second'; readonly proof: Uint8Array; readonly endpoint: Endpoint | undefined };

const maxReasonLength = 64;
const maxProofLength = 256;

/** Of the `bye` to a second machine with a node's key, which tells its operator (docs/protocol/tunnel.md, Another incarnation). */
export const secondMachine = 'another machine runs with this key';

/** A whole control frame, the caller's. */
export function encodeLinkMessage(message: LinkMessage): Uint8Array {
  return concatBytes(Uint8Array.of(ControlChannel.tunnel), encodeCbor(asCbor(message)));
}

function asCbor(message: LinkMessage): CborValue {
  switch (message.kind) {
    case 'hello':
      return { t: 'hello', ...placeToCbor(message.observed) };
    case 'probe':
    case 'echo':
      return { t: message.kind, n: message.nonce };
    case 'part':
      return { t: 'part', r: message.reason.slice(0, maxReasonLength) };
    case 'bye': {
      const reason = message.reason.slice(0, maxReasonLength);
      return message.first === undefined
        ? { t: 'bye', r: reason }
        : { t: 'bye', r: reason, i: octetsOf64(message.first) };
    }
    case 'second':
      return { t: 'second', d: message.proof, ...placeToCbor(message.endpoint) };
  }
}

function placeToCbor(endpoint: Endpoint | undefined): { readonly [key: string]: CborValue } {
  const address = endpoint && parseIp(endpoint.address);
  return address ? { a: address, p: endpoint.port } : {};
}

function placeFromCbor({ a: address, p: port }: { readonly [key: string]: CborValue }): Endpoint | undefined {
  if (!(address instanceof Uint8Array) || address.length !== 16) return undefined;
  if (typeof port !== 'number' || !Number.isInteger(port) || port <= 0 || port >= 65536) return undefined;
  return { address: formatIp(address), port };
}

/** Undefined when malformed or of a kind not known here. */
export function decodeLinkMessage(frame: Uint8Array): LinkMessage | undefined {
  const map = decodeCbor(frame.subarray(1));
  if (map === null || typeof map !== 'object' || Array.isArray(map) || map instanceof Uint8Array) return undefined;
  switch (map.t) {
    case 'hello':
      return { kind: 'hello', observed: placeFromCbor(map) };
    case 'probe':
    case 'echo':
      return map.n instanceof Uint8Array && map.n.length === 8 ? { kind: map.t, nonce: map.n } : undefined;
    case 'part':
    case 'bye': {
      const { t: kind, r: reason, i: first } = map;
      if (typeof reason !== 'string' || reason.length > maxReasonLength) return undefined;
      if (kind === 'part' || !(first instanceof Uint8Array) || first.length !== 8) return { kind, reason };
      return { kind, reason, first: new DataView(first.buffer, first.byteOffset, 8).getBigUint64(0) };
    }
    case 'second': {
      const { d: proof } = map;
      if (!(proof instanceof Uint8Array) || proof.length > maxProofLength) return undefined;
      return { kind: 'second', proof, endpoint: placeFromCbor(map) };
    }
    default:
      return undefined;
  }
}
