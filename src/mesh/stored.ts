import { decodeMap, type FieldMap } from '../addr/fields.js';
import type { CborValue } from '../cbor.js';
import { MeshError } from '../errors.js';

/** The longest blob we read back: far above every bound of what is written. */
const maxBlobLength = 64 * 1024 * 1024;

/** The fields of a blob we once persisted, version 1. Throws a MeshError that names the file and the cure. */
export function readStored(name: string, bytes: Uint8Array, cure: string): FieldMap {
  const map = decodeMap(bytes, maxBlobLength);
  if (map?.v === 1) return map;
  throw unreadable(name, cure);
}

export function unreadable(name: string, cure: string): MeshError {
  return new MeshError('state-unreadable', `the file ${name}.state of the state folder cannot be read`, cure);
}

/** The byte strings in a list; others are left out. */
export function octetLists(value: CborValue | undefined): Uint8Array[] {
  return Array.isArray(value) ? value.filter((item) => item instanceof Uint8Array) : [];
}
