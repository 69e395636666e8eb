import { concatBytes } from '../../src/bytes.js';
import { type CborValue, decodeCbor, encodeCbor } from '../../src/cbor.js';
import type { Random } from '../../src/random.js';

/** Where CBOR begins in what weft sends and stores: at once, behind a channel's octet, behind a signature. */
const offsets = [0, 1, 64];
const longest = 70_000;

/**
 * A copy in which one item, however deep, has become another kind of value, or is gone: what changed octets seldom reach,
 * since they rarely leave well-formed CBOR behind. Octets that hold CBOR of their own are looked into. Undefined where
 * there is no CBOR.
 */
export function mutateCbor(random: Random, input: Uint8Array): Uint8Array | undefined {
  for (const offset of offsets) {
    const value = input.length > offset ? decodeCbor(input.subarray(offset), longest) : undefined;
    if (!isContainer(value)) continue;
    return concatBytes(input.subarray(0, offset), encodeCbor(changed(random, value)));
  }
  return undefined;
}

/** Numbers alone are everywhere by chance: only maps and lists count as CBOR. */
function isContainer(value: CborValue | undefined): value is CborValue[] | { [key: string]: CborValue } {
  return value !== null && typeof value === 'object' && !(value instanceof Uint8Array);
}

function changed(random: Random, value: CborValue): CborValue {
  const keys = isContainer(value) ? Object.keys(value) : [];
  if (keys.length === 0 || random.below(8) === 0) return other(random, value);
  const key = keys[random.below(keys.length)]!;
  const entries = Object.entries(value as object) as [string, CborValue][];
  const kept = random.below(12) > 0 ? entries : entries.filter(([name]) => name !== key);
  const result = kept.map(([name, inner]) => [name, name === key ? changed(random, inner) : inner] as const);
  return Array.isArray(value) ? result.map(([, inner]) => inner) : Object.fromEntries(result);
}

function other(random: Random, value: CborValue): CborValue {
  if (value instanceof Uint8Array && random.below(2) === 0) {
    const inside = mutateCbor(random, value);
    if (inside) return inside;
  }
  const values: CborValue[] = [
    null,
    true,
    false,
    0,
    -1,
    random.below(1 << 16),
    Number.MAX_SAFE_INTEGER,
    '',
    'x'.repeat(random.below(300)),
    new Uint8Array(0),
    random.bytes(random.below(70)),
    [],
    [null],
    [value, value],
    Array<CborValue>(random.below(300)).fill(value),
    {},
    { x: value },
  ];
  return values[random.below(values.length)]!;
}
