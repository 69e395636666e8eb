/**
 * Internet checksums (RFC 1071) over arena octets. The fast path needs only two small ones: an IPv4 header's, and the sum
 * over a pseudo-header that a kernel expects where it finishes the rest itself.
 */

/** The one's complement sum of big-endian 16-bit words, not folded, not inverted. `length` up to 65535. */
export function sumOctets(view: DataView, at: number, length: number, initial = 0): number {
  let sum = initial;
  const even = at + (length & ~1);
  for (let i = at; i < even; i += 2) sum += view.getUint16(i);
  if (length & 1) sum += view.getUint8(even) << 8;
  return sum;
}

export function foldSum(sum: number): number {
  let folded = (sum & 0xffff) + Math.floor(sum / 65536);
  folded = (folded & 0xffff) + (folded >>> 16);
  return (folded & 0xffff) + (folded >>> 16);
}

/** Sets the header checksum of the IPv4 header at `at`. */
export function sumIpv4Header(view: DataView, at: number, headerLength: number): void {
  view.setUint16(at + 10, 0);
  view.setUint16(at + 10, ~foldSum(sumOctets(view, at, headerLength)) & 0xffff);
}

/** The pseudo-header's sum, folded, not inverted: what a virtio header's "needs checksum" wants in the field. */
export function pseudoSum(view: DataView, ip: number, version: number, protocol: number, length: number): number {
  const sum = version === 6 ? sumOctets(view, ip + 8, 32) : sumOctets(view, ip + 12, 8);
  return foldSum(sum + protocol + length);
}

/** Finishes a sum by hand: over `length` octets from `start`, the field `offset` in holding the pseudo-header's sum. */
export function finishSum(view: DataView, start: number, offset: number, length: number): void {
  const sum = ~foldSum(sumOctets(view, start, length)) & 0xffff;
  // Zero means "none" in UDP (RFC 768), and both zeros are one number everywhere else.
  view.setUint16(start + offset, sum === 0 ? 0xffff : sum);
}
