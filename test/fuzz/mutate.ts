import type { Random } from '../../src/random.js';
import { mutateCbor } from './mutate-cbor.js';

/** Values at the edges of what length fields and numbers hold. */
const edges = [0, 1, 2, 0x17, 0x18, 0x3f, 0x40, 0x5f, 0x7f, 0x80, 0x9f, 0xa0, 0xbf, 0xfe, 0xff];

/**
 * A changed copy: one to four small changes, sometimes with a piece of another input in it; where the input is CBOR,
 * half of them are well-formed again.
 */
export function mutate(random: Random, input: Uint8Array, other: Uint8Array): Uint8Array {
  if (random.below(2) === 0) {
    const reshaped = mutateCbor(random, input);
    if (reshaped) return reshaped;
  }
  let out = new Uint8Array(input);
  for (let changes = 1 + random.below(4); changes > 0; changes--) out = mutateOnce(random, out, other);
  return out.length > 70_000 ? out.subarray(0, 70_000) : out;
}

function mutateOnce(random: Random, bytes: Uint8Array<ArrayBuffer>, other: Uint8Array): Uint8Array<ArrayBuffer> {
  const at = random.below(bytes.length + 1);
  const kind = random.below(9);
  if (kind < 5 && at < bytes.length) {
    if (kind < 2) bytes[at]! ^= 1 << random.below(8);
    else if (kind === 2) bytes[at] = edges[random.below(edges.length)]!;
    else if (kind === 3) bytes[at] = random.below(256);
    else bytes[at]! += random.below(2) === 0 ? 1 : 255;
    return bytes;
  }
  const length = random.below(random.below(8) === 0 ? 200 : 9);
  if (kind === 5) return bytes.slice(0, at);
  if (kind === 6) return joined(bytes.subarray(0, at), bytes.subarray(Math.min(bytes.length, at + length)));
  if (kind === 7) return joined(bytes.subarray(0, at), random.bytes(length), bytes.subarray(at));
  const from = random.below(other.length + 1);
  return joined(bytes.subarray(0, at), other.subarray(from, from + 1 + random.below(64)), bytes.subarray(at));
}

function joined(...parts: Uint8Array[]): Uint8Array<ArrayBuffer> {
  return new Uint8Array(Buffer.concat(parts));
}
