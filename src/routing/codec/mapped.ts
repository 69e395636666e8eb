import type { IpBytes } from '../../addr/ip.js';

/** True for an IPv4 prefix in mapped form. */
export function isMapped(prefix: IpBytes, prefixLength: number): boolean {
  if (prefixLength < 96 || prefix[10] !== 0xff || prefix[11] !== 0xff) return false;
  for (let i = 0; i < 10; i++) if (prefix[i] !== 0) return false;
  return true;
}
