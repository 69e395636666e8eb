import type { Endpoint } from '../addr/endpoint.js';
import { formatIp, parseIp } from '../addr/ip.js';
import { concatBytes } from '../bytes.js';
import { type CborValue, decodeCbor, encodeCbor } from '../cbor.js';
import { ControlChannel } from './frame.js';

/**
 * What the two ends of a link tell each other in control frames: octet 3 (ControlChannel.tunnel) ‖ CBOR map.
 *
 *     {t: "hello", a: address, p: port}   the initiator's first frame; a and p: where it sees the other side, if it can say
 *     {t: "probe", n: nonce}              are you there?
 *     {t: "echo", n: nonce}               I am
 *     {t: "part", r: reason}              the tunnel ends, the keys go on serving over the overlay; no answer
 *     {t: "bye", r: reason}               all of the link ends; no answer
 *
 * address: 16 octets, IPv4 as ::ffff:a.b.c.d; nonce: 8 octets; reason: text of at most 64 octets.
 */
export type LinkMessage =
  | { readonly kind: 'hello'; readonly observed: Endpoint | undefined }
  | { readonly kind: 'probe'; readonly nonce: Uint8Array }
  | { readonly kind: 'echo'; readonly nonce: Uint8Array }
  | { readonly kind: 'part' | 'bye'; readonly reason: string };

const maxReasonLength = 64;

/** Of the `bye` to a second machine with a node's key, which tells its operator (docs/protocol/tunnel.md, Another incarnation). */
export const secondMachine = 'another machine runs with this key';

/** A whole control frame, the caller's. */
export function encodeLinkMessage(message: LinkMessage): Uint8Array {
  return concatBytes(Uint8Array.of(ControlChannel.tunnel), encodeCbor(asCbor(message)));
}

function asCbor(message: LinkMessage): CborValue {
  switch (message.kind) {
    case 'hello': {
      const address = message.observed && parseIp(message.observed.address);
      return address ? { t: 'hello', a: address, p: message.observed!.port } : { t: 'hello' };
    }
    case 'probe':
    case 'echo':
      return { t: message.kind, n: message.nonce };
    case 'part':
    case 'bye':
      return { t: message.kind, r: message.reason.slice(0, maxReasonLength) };
  }
}

/** Undefined when malformed or of a kind not known here. */
export function decodeLinkMessage(frame: Uint8Array): LinkMessage | undefined {
  const map = decodeCbor(frame.subarray(1));
  if (map === null || typeof map !== 'object' || Array.isArray(map) || map instanceof Uint8Array) return undefined;
  switch (map.t) {
    case 'hello': {
      const { a: address, p: port } = map;
      const known =
        address instanceof Uint8Array &&
        address.length === 16 &&
        typeof port === 'number' &&
        Number.isInteger(port) &&
        port > 0 &&
        port < 65536;
      return { kind: 'hello', observed: known ? { address: formatIp(address), port } : undefined };
    }
    case 'probe':
    case 'echo':
      return map.n instanceof Uint8Array && map.n.length === 8 ? { kind: map.t, nonce: map.n } : undefined;
    case 'part':
    case 'bye':
      return typeof map.r === 'string' && map.r.length <= maxReasonLength ? { kind: map.t, reason: map.r } : undefined;
    default:
      return undefined;
  }
}
