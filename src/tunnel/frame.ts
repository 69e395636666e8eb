/**
 * Every datagram of the underlay, and every end-to-end frame, begins with its type (PROTOCOL.md §2).
 *
 * Transport frames (0x10 and above) share one header, all of it authenticated:
 *
 *  0                   1                   2                   3
 *  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
 * +---------------+---------------+-------------------------------+
 * |     type      |     flags     |             zero              |
 * +---------------+---------------+-------------------------------+
 * |                        receiver index                         |
 * +---------------------------------------------------------------+
 * |                                                               |
 * +                            counter                            +
 * |                                                               |
 * +---------------------------------------------------------------+
 *
 * Big-endian. Nonce of the AEAD = 4 zero octets ‖ counter; its additional data are in plane/aead.ts; the receiver index
 * is bound by the key, which belongs to one lane. Overhead of a packet: header 16 + tag 16.
 */
export const FrameType = {
  /** Handshake-class datagrams: handed to the control plane as they are, after the cheap checks of the plane. */
  initiation: 0x01,
  response: 0x02,
  cookieReply: 0x03,
  /** Joining: Noise IKpsk2 with the issuer, passed on by the member that hears it (docs/protocol/mesh.md). */
  joinInitiation: 0x04,
  joinResponse: 0x05,
  /** The joiner's and the issuer's transport messages of the joining exchange. */
  joinTransport: 0x06,
  /** One datagram that proves an endpoint; carries two nonces only (docs/protocol/reachability.md). */
  dialBack: 0x07,
  /** A hole punch: opens the sender's NAT, means nothing to who receives it. */
  punch: 0x08,

  /** Transport frames. */
  packet: 0x10,
  control: 0x11,
  relay: 0x12,
  probe: 0x13,
  /**
   * The end-to-end part of a relayed frame only: a relay's word about a frame it could not pass on (PROTOCOL.md, The
   * plane).
   */
  notice: 0x14,
} as const;
export type FrameType = (typeof FrameType)[keyof typeof FrameType];

export const transportHeaderLength = 16;
export const tagLength = 16;
/** The sealed relay header: destination u24, source u24, hop limit u8, flags u8. */
export const relayHeaderLength = 8;

/** Flags of a transport header. */
export const FrameFlag = {
  /** The TCP or UDP checksum of the packet inside is open: the receiver's kernel finishes or skips it. */
  checksumOpen: 0x01,
  /** First and second half of a frame cut in two; the second's counter is the first's plus one. */
  firstHalf: 0x02,
  secondHalf: 0x04,
} as const;

/** The flags octet of a notice: why. */
export const NoticeReason = { hopLimit: 1, noRoute: 2 } as const;
/** A notice repeats the transport header of the frame it is about, with its own type and a reason for flags. */
export const noticeLength = transportHeaderLength;

/** The first octet of a control frame's plaintext says who it is for. */
export const ControlChannel = {
  /** A Babel packet, without IP and UDP header (RFC 8966 §4.2). Tunnels only. */
  babel: 1,
  /** A CBOR map of src/mesh: directory, gossip, revocations, punching, dial-back, joining passed on. */
  mesh: 2,
  /** A CBOR map of src/tunnel itself. */
  tunnel: 3,
  /** An initiation or a response for the next keys of the session that carries it (docs/protocol/tunnel.md, Renewal). */
  handshake: 4,
} as const;
export type ControlChannel = (typeof ControlChannel)[keyof typeof ControlChannel];

/** The inner MTU, constant everywhere (docs/protocol/plane.md, Sizes). */
export const innerMtu = 1380;

/**
 * Segments our kernel may put into one super-packet: as many relayed frames as one IPv4 datagram of 65,507 octets can
 * be cut into, so that a super-packet is one read, one send, one receive and one write on its whole way.
 */
export const superPacketSegments = 44;
