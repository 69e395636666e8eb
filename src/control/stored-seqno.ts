import type { StoredSeqno } from '../routing/contract.js';

/** The blob "routing": epoch u40, seqno u16, big-endian, then both again, inverted, so that a torn or strange file shows. */
const length = 14;

export function encodeStoredSeqno(state: StoredSeqno): Uint8Array {
  const bytes = new Uint8Array(length);
  const view = new DataView(bytes.buffer);
  view.setUint8(0, Math.floor(state.epoch / 2 ** 32));
  view.setUint32(1, state.epoch % 2 ** 32);
  view.setUint16(5, state.seqno);
  for (let i = 0; i < 7; i++) bytes[7 + i] = ~bytes[i]! & 0xff;
  return bytes;
}

/** Undefined when it is missing or unreadable: the speaker then begins a new epoch, and nobody refuses its routes. */
export function decodeStoredSeqno(bytes: Uint8Array | undefined): StoredSeqno | undefined {
  if (bytes?.length !== length) return undefined;
  for (let i = 0; i < 7; i++) if (bytes[7 + i] !== (~bytes[i]! & 0xff)) return undefined;
  const view = new DataView(bytes.buffer, bytes.byteOffset, length);
  return { epoch: view.getUint8(0) * 2 ** 32 + view.getUint32(1), seqno: view.getUint16(5) };
}
