/** A sequence number modulo 2^16 (RFC 8966 §3.2.1). */
export type Seqno = number;

/**
 * True when `a` is newer than `b`. Two numbers exactly 2^15 apart have no order: neither is newer, so neither displaces
 * the other.
 */
export function isNewer(a: Seqno, b: Seqno): boolean {
  const ahead = (a - b) & 0xffff;
  return ahead !== 0 && ahead < 0x8000;
}

/** How far `a` is ahead of `b`, -32768 to 32767. */
export function seqnoDistance(a: Seqno, b: Seqno): number {
  const ahead = (a - b) & 0xffff;
  return ahead < 0x8000 ? ahead : ahead - 0x10000;
}

export function seqnoPlus(a: Seqno, by: number): Seqno {
  return (a + by) & 0xffff;
}
