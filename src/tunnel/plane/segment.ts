import { toHex } from '../../bytes.js';
import { innerMtu } from '../frame.js';
import type { Arena } from './arena.js';
import { Cutter } from './cut.js';
import { type PacketShape, Protocol, TcpFlag } from './packet.js';
import { VirtioGso, type VirtioHeader, virtioHeaderLength, writeOpenVirtio } from './virtio.js';

/** What a packet of our kernel means to its TCP connection; undefined: it is none of a connection. */
export type SegmentKind =
  /** Data or the end of them. */
  | 'data'
  /** An acknowledgement, a window, a question whether the other is there: nothing that is repeated by itself. */
  | 'bare'
  /** A connection begins or is broken off here: nothing said before counts. */
  | 'edge';

export function segmentKind(view: DataView, packet: PacketShape): SegmentKind | undefined {
  if (!packet.plain || packet.protocol !== Protocol.tcp) return undefined;
  const flags = view.getUint8(packet.transport + 13);
  if ((flags & (TcpFlag.syn | TcpFlag.rst)) !== 0) return 'edge';
  if ((flags & TcpFlag.ack) === 0) return undefined;
  return packet.length > packet.headers || (flags & TcpFlag.fin) !== 0 ? 'data' : 'bare';
}

/** Addresses and ports of a plain packet, as a key. */
export function flowOf(bytes: Uint8Array, packet: PacketShape): string {
  return toHex(bytes.subarray(packet.at + (packet.version === 6 ? 8 : 12), packet.transport + 4));
}

/**
 * A copy of the segment at tunIn, behind its virtio header, or of the first one where it is a super-packet: as our
 * kernel would have handed it over alone. Undefined when no such packet could travel.
 */
export function copySegment(arena: Arena, virtio: VirtioHeader, packet: PacketShape): Uint8Array | undefined {
  const { bytes, tunIn } = arena;
  const end = packet.at + packet.length;
  if (virtio.gso === VirtioGso.none) return packet.length > innerMtu ? undefined : bytes.slice(tunIn, end);
  // A little more than one segment, so that it is not taken for the last.
  const copy = bytes.slice(tunIn, Math.min(end, packet.at + packet.headers + 2 * virtio.size));
  const cutter = new Cutter(copy);
  const length = copy.length - virtioHeaderLength;
  if (!cutter.begin(virtioHeaderLength, length, packet.ipHeader, false, virtio.size, true)) return undefined;
  cutter.next();
  if (cutter.length > innerMtu) return undefined;
  writeOpenVirtio(new DataView(copy.buffer), 0, VirtioGso.none, 0, 0, packet.ipHeader, packet.sumOffset);
  return copy.slice(0, virtioHeaderLength + cutter.length);
}
