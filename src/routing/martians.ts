import type { IpBytes } from '../addr/ip.js';
import { isMapped } from './codec/mapped.js';

/**
 * Prefixes nobody may announce (RFC 8966 appendix C): link-local, multicast, loopback and unspecified, in both families.
 * Shorter ones that merely cover them are not meant.
 */
export function isMartian(bytes: IpBytes, length: number): boolean {
  if (isMapped(bytes, length)) {
    const plen = length - 96;
    const first = bytes[12]!;
    return (plen >= 8 && (first === 0 || first === 127)) || (plen >= 4 && first >= 224);
  }
  if (length >= 8 && bytes[0] === 0xff) return true;
  if (length >= 10 && bytes[0] === 0xfe && (bytes[1]! & 0xc0) === 0x80) return true;
  return length === 128 && bytes[15]! <= 1 && bytes.subarray(0, 15).every((octet) => octet === 0);
}
