import type { Millis } from '../../time.js';

/** Why a handshake-class datagram is dropped before it costs anything; names as in `dropReasons`. */
export const guardDropReasons = [
  'handshake-type',
  'handshake-length',
  'handshake-mac1',
  'handshake-mac2',
  'handshake-source-rate',
  'handshake-rate',
  'handshake-cookie-rate',
  'punch',
] as const;
export type GuardDropReason = (typeof guardDropReasons)[number];

/** Where a datagram came from; of a relayed one fe80::node number and port 0. */
export interface DatagramSource {
  /** 16 octets; IPv4 as ::ffff:a.b.c.d. */
  readonly address: Uint8Array;
  readonly port: number;
}

/** The cheap checks that come before a handshake costs anything: MAC, cookie, rates. What the plane needs of them. */
export interface DatagramGuard {
  /**
   * Pass it to the control plane, drop it for the reason given, or send these octets back (a cookie reply, never longer
   * than what came). Both buffers are the plane's and will be used again.
   */
  admit(bytes: Uint8Array, source: DatagramSource, now: Millis): 'pass' | GuardDropReason | Uint8Array;
}
