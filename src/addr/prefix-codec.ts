import type { CborValue } from '../cbor.js';
import { Prefix } from './prefix.js';

/** A prefix in CBOR: [the octets its length needs, its length]; IPv4 as in Prefix, so 96 longer than its text. */
export function prefixToCbor(prefix: Prefix): CborValue {
  return [prefix.bytes.slice(0, (prefix.length + 7) >> 3), prefix.length];
}

/** The inverse; undefined when malformed or when host bits are set. */
export function prefixFromCbor(value: CborValue | undefined): Prefix | undefined {
  if (!Array.isArray(value) || value.length !== 2) return undefined;
  const [octets, length] = value;
  if (!(octets instanceof Uint8Array) || typeof length !== 'number') return undefined;
  if (!Number.isInteger(length) || length < 0 || length > 128 || octets.length !== (length + 7) >> 3) return undefined;
  const bytes = new Uint8Array(16);
  bytes.set(octets);
  const prefix = new Prefix(bytes, length);
  return prefix.bytes.every((octet, i) => octet === bytes[i]) ? prefix : undefined;
}
