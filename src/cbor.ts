import { Decoder, Encoder } from 'cbor-x/encode';

/**
 * Control messages and signed things in CBOR (RFC 8949): maps with text keys, integers, byte strings, text, arrays,
 * booleans. The only cbor-x import.
 */
const encoder = new Encoder({ useRecords: false, mapsAsObjects: true, tagUint8Array: false, variableMapSize: true });
const decoder = new Decoder({ useRecords: false, mapsAsObjects: true, tagUint8Array: false });

export type CborValue =
  | number
  | bigint
  | string
  | boolean
  | null
  | Uint8Array
  | CborValue[]
  | { [key: string]: CborValue };

/** The most octets and the deepest nesting we decode (PROTOCOL.md §1). */
const maxCborLength = 1200;
const maxCborDepth = 8;

/** Deterministic for a given insertion order of keys; only safe integers among numbers. The octets are the caller's. */
export function encodeCbor(value: CborValue): Uint8Array {
  return new Uint8Array(encoder.encode(wideIntegers(value)));
}

/** cbor-x writes a number beyond 32 bits as a float; a bigint it writes as the integer it is. */
function wideIntegers(value: CborValue): CborValue {
  if (typeof value === 'number') {
    if (!Number.isSafeInteger(value)) throw new Error(`not an integer: ${value}`);
    return value > 0xffff_ffff || value < -0x8000_0000 ? BigInt(value) : value;
  }
  return mapInside(value, wideIntegers);
}

/**
 * The value of exactly these octets, or undefined: too long, too deep, indefinite lengths, tags, floats other than none,
 * duplicate or non-text or dangerous keys, or trailing octets. Byte strings are copies.
 */
export function decodeCbor(bytes: Uint8Array, maxLength = maxCborLength): CborValue | undefined {
  if (bytes.length > maxLength || scanItem(bytes, 0, 0) !== bytes.length) return undefined;
  try {
    return copyOut(decoder.decode(bytes) as CborValue);
  } catch {
    return undefined; // remote octets never throw further
  }
}

/** Walks one item without allocating; the offset behind it, or -1 when it is not of the subset we speak. */
function scanItem(bytes: Uint8Array, at: number, depth: number): number {
  if (depth > maxCborDepth || at >= bytes.length) return -1;
  const initial = bytes[at]!;
  const major = initial >> 5;
  const short = initial & 31;
  if (major === 6) return -1;
  if (major === 7) return short >= 20 && short <= 22 ? at + 1 : -1;
  if (short > 27) return -1;
  const width = short < 24 ? 0 : 1 << (short - 24);
  let next = at + 1 + width;
  if (next > bytes.length) return -1;
  let value = width === 0 ? short : 0;
  for (let i = 0; i < width; i++) value = value * 256 + bytes[at + 1 + i]!;
  if (major <= 1) return next;
  if (major <= 3) return next + value <= bytes.length ? next + value : -1;
  if (value > bytes.length) return -1;
  const seen = major === 5 ? new Set<string>() : undefined;
  for (let i = 0; i < value; i++) {
    if (seen) {
      const keyEnd = scanItem(bytes, next, depth + 1);
      if (keyEnd < 0 || bytes[next]! >> 5 !== 3) return -1;
      const key = Buffer.from(bytes.subarray(next, keyEnd)).toString('latin1');
      if (seen.has(key) || key.endsWith('__proto__')) return -1;
      seen.add(key);
      next = keyEnd;
    }
    next = scanItem(bytes, next, depth + 1);
    if (next < 0) return -1;
  }
  return next;
}

function copyOut(value: CborValue): CborValue {
  if (value instanceof Uint8Array) return new Uint8Array(value);
  if (typeof value === 'bigint') {
    const number = Number(value);
    return Number.isSafeInteger(number) ? number : value;
  }
  return mapInside(value, copyOut);
}

function mapInside(value: CborValue, map: (inner: CborValue) => CborValue): CborValue {
  if (value === null || typeof value !== 'object' || value instanceof Uint8Array) return value;
  if (Array.isArray(value)) return value.map(map);
  return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, map(inner)]));
}
