/**
 * The numbers of RFC 8966 §4.6 and of our extensions.
 *
 * A packet (RFC 8966 §4.2), all big-endian:
 *
 *  0                   1                   2                   3
 *  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
 * +---------------+---------------+-------------------------------+
 * |  magic = 42   |  version = 2  |          body length          |
 * +---------------+---------------+-------------------------------+
 * |  TLVs: type u8, length u8, payload; Pad1 is one octet ...     |
 * +---------------------------------------------------------------+
 * |  trailer: whatever follows the body; ignored (RFC 8967 absent) |
 * +---------------------------------------------------------------+
 */
export const magic = 42;
export const version = 2;
export const headerLength = 4;

export const Tlv = {
  pad1: 0,
  padN: 1,
  ackRequest: 2,
  ack: 3,
  hello: 4,
  ihu: 5,
  routerId: 6,
  nextHop: 7,
  update: 8,
  routeRequest: 9,
  seqnoRequest: 10,
} as const;
export type Tlv = (typeof Tlv)[keyof typeof Tlv];

export const SubTlv = {
  pad1: 0,
  padN: 1,
  /** RFC 9616 §3: in a Hello transmit u32; in an IHU origin u32, receive u32; microseconds. */
  timestamp: 3,
  /** Of an Update, experimental and optional: the origin's signature (PROTOCOL.md, Babel). */
  originSignature: 112,
  /** Of an Update, experimental and optional: egress node u24, then its signature or nothing (PROTOCOL.md, Babel). */
  egress: 113,
} as const;

/** Address encodings (RFC 8966 §4.1.4, RFC 9229 §2). */
export const Ae = { wildcard: 0, ipv4: 1, ipv6: 2, linkLocal: 3, ipv4ViaIpv6: 4 } as const;

export const helloUnicast = 0x8000;
export const updatePrefixFlag = 0x80;
export const updateRouterIdFlag = 0x40;

/** Why a packet or a TLV was dropped; the counters of a reader are in this order. */
export const dropReasons = [
  'not-babel',
  'body-beyond-datagram',
  'tlv-beyond-body',
  'unknown-tlv',
  'short-tlv',
  'bad-sub-tlv',
  'mandatory-sub-tlv',
  'unknown-encoding',
  'bad-prefix-length',
  'no-default-prefix',
  'link-local-prefix',
  'mapped-prefix',
  'no-router-id',
  'bad-router-id',
  'no-next-hop',
  'bad-next-hop',
  'zero-interval',
  'zero-hop-count',
  'bad-wildcard',
  'short-timestamp',
] as const;
export type DropReason = (typeof dropReasons)[number];
