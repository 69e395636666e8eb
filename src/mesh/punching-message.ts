import type { Endpoint } from '../addr/endpoint.js';
import { endpointFromCbor, endpointToCbor } from '../addr/endpoint-cbor.js';
import { type FieldMap, integerField, listField, octetsField } from '../addr/fields.js';
import { type CborValue, encodeCbor } from '../cbor.js';
import type { Dependence, PunchSide } from './nat-class.js';
import type { Family } from './reachability-candidates.js';

/**
 * How two nodes that hear each other through relays arrange a direct tunnel (docs/protocol/reachability.md); CBOR maps,
 * sealed end to end like all mesh messages:
 *
 *   A ──► B   {t: "punch", x, e, o, v?, m, f}   let us; A's endpoints and NAT
 *   B ──► A   {t: "punchback", x, e, o, v?, m, f} yes; B's
 *   A ──► B   {t: "punchgo", x}                 now: B punches as it hears this, A dials half a round trip after sending it
 *   B ──► A   {t: "punchno", x, r}              no, and why
 *
 * x: 8 octets, the exchange; e: up to 4 of [address, port]; o: 1 when some public endpoint is proven, and then v: over which family,
 * 1 IPv4, 2 IPv6, 3 both (absent: of a version that did not say, any); m, f: mapping and filtering, 0 unknown, then 1 to 3 in the
 * order of RFC 4787.
 */
export type PunchMessage =
  | ({ readonly kind: 'offer' | 'answer' } & PunchTerms)
  | { readonly kind: 'go'; readonly exchange: Uint8Array }
  | { readonly kind: 'no'; readonly exchange: Uint8Array; readonly reason: PunchRefusal };

/** What one side shows the other. */
export interface PunchTerms {
  readonly exchange: Uint8Array;
  readonly endpoints: readonly Endpoint[];
  readonly side: PunchSide;
}

/** hopeless: of the NATs of both. busy: too many at once, or too often. */
export type PunchRefusal = 'hopeless' | 'busy';

/** The texts of `t` that are for punching. */
export const punchTypes = ['punch', 'punchback', 'punchgo', 'punchno'] as const;

/** More than the endpoints of two address families behind one NAT; every one of them costs datagrams. */
export const mostPunchEndpoints = 4;

const dependences: readonly (Dependence | undefined)[] = [
  undefined,
  'endpoint-independent',
  'address-dependent',
  'address-and-port-dependent',
];
/** From the lowest bit on. */
const familyBits: readonly Family[] = ['ipv4', 'ipv6'];
const refusals: readonly PunchRefusal[] = ['hopeless', 'busy'];

/** The octets are the caller's. */
export function encodePunch(message: PunchMessage): Uint8Array {
  const x = message.exchange;
  switch (message.kind) {
    case 'offer':
    case 'answer': {
      const { open, nat } = message.side;
      return encodeCbor({
        t: message.kind === 'offer' ? 'punch' : 'punchback',
        x,
        e: message.endpoints.slice(0, mostPunchEndpoints).map((endpoint): CborValue => endpointToCbor(endpoint)),
        o: open.length > 0 ? 1 : 0,
        ...(open.length > 0 ? { v: bitsOf(open) } : {}),
        m: dependences.indexOf(nat.mapping),
        f: dependences.indexOf(nat.filtering),
      });
    }
    case 'go':
      return encodeCbor({ t: 'punchgo', x });
    case 'no':
      return encodeCbor({ t: 'punchno', x, r: refusals.indexOf(message.reason) });
  }
}

/** Undefined when the map is none of these, or malformed. */
export function decodePunch(map: FieldMap): PunchMessage | undefined {
  const exchange = octetsField(map, 'x', 8);
  if (!exchange) return undefined;
  if (map.t === 'punchgo') return { kind: 'go', exchange };
  if (map.t === 'punchno') {
    const reason = refusals[integerField(map, 'r', 0, refusals.length - 1) ?? -1];
    return reason && { kind: 'no', exchange, reason };
  }
  if (map.t !== 'punch' && map.t !== 'punchback') return undefined;
  const endpoints = listField(map, 'e', mostPunchEndpoints, endpointFromCbor);
  const open = integerField(map, 'o', 0, 1);
  const mapping = integerField(map, 'm', 0, 3);
  const filtering = integerField(map, 'f', 0, 3);
  if (!endpoints || open === undefined || mapping === undefined || filtering === undefined) return undefined;
  const nat = { mapping: dependences[mapping], filtering: dependences[filtering] };
  const side = { open: open === 1 ? familiesIn(integerField(map, 'v', 1, 3) ?? 3) : [], nat };
  return { kind: map.t === 'punch' ? 'offer' : 'answer', exchange, endpoints, side };
}

function bitsOf(families: readonly Family[]): number {
  return families.reduce((bits, family) => bits | (1 << familyBits.indexOf(family)), 0);
}

function familiesIn(bits: number): Family[] {
  return familyBits.filter((_, bit) => bits & (1 << bit));
}
