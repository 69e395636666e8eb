import { type CborValue, decodeCbor } from '../cbor.js';

/**
 * Reading the fields of a CBOR map that came from elsewhere: each gives the value, or undefined when it is absent or of
 * another shape. Fields nobody asks for are left alone: newer versions may have put them there.
 */
export type FieldMap = { [key: string]: CborValue };

export function decodeMap(bytes: Uint8Array, maxLength?: number): FieldMap | undefined {
  return asMap(decodeCbor(bytes, maxLength));
}

export function asMap(value: CborValue | undefined): FieldMap | undefined {
  if (value === null || typeof value !== 'object' || Array.isArray(value) || value instanceof Uint8Array) {
    return undefined;
  }
  return value;
}

/** Octets of exactly this length, or of any from `length` to `most`. */
export function octetsField(map: FieldMap, name: string, length: number, most = length): Uint8Array | undefined {
  const value = map[name];
  return value instanceof Uint8Array && value.length >= length && value.length <= most ? value : undefined;
}

export function integerField(map: FieldMap, name: string, least: number, most: number): number | undefined {
  const value = map[name];
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= least && value <= most
    ? value
    : undefined;
}

export function textField(map: FieldMap, name: string, pattern: RegExp): string | undefined {
  const value = map[name];
  return typeof value === 'string' && pattern.test(value) ? value : undefined;
}

/** A list whose every item `read` accepts, at most `most` long; an absent field is an empty list. */
export function listField<T>(
  map: FieldMap,
  name: string,
  most: number,
  read: (item: CborValue) => T | undefined,
): T[] | undefined {
  const value = map[name] ?? [];
  if (!Array.isArray(value) || value.length > most) return undefined;
  const items = value.map(read);
  return items.includes(undefined) ? undefined : (items as T[]);
}
