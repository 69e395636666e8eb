import { foldSum, pseudoSum, sumOctets } from '../../../src/tunnel/plane/checksum.js';

/** Inner packets for tests, built octet by octet, and a slow reference that checks sums (RFC 1071). */
export interface PacketSpec {
  readonly version: 4 | 6;
  readonly protocol: 'tcp' | 'udp';
  readonly source: Uint8Array;
  readonly destination: Uint8Array;
  readonly payload: Uint8Array;
  readonly sourcePort?: number;
  readonly destinationPort?: number;
  readonly sequence?: number;
  readonly flags?: number;
  readonly tcpOptions?: Uint8Array;
  /** Leave the pseudo-header's sum in the field, as a kernel that hands over an open sum. */
  readonly open?: boolean;
}

export function buildPacket(spec: PacketSpec): Uint8Array {
  const options = spec.tcpOptions ?? new Uint8Array(0);
  const ip = spec.version === 6 ? 40 : 20;
  const header = spec.protocol === 'tcp' ? 20 + options.length : 8;
  const bytes = new Uint8Array(ip + header + spec.payload.length);
  const view = new DataView(bytes.buffer);
  const inner = header + spec.payload.length;
  const number = spec.protocol === 'tcp' ? 6 : 17;
  if (spec.version === 6) {
    view.setUint32(0, 0x6000_0000);
    view.setUint16(4, inner);
    view.setUint16(6, (number << 8) | 64);
    bytes.set(spec.source, 8);
    bytes.set(spec.destination, 24);
  } else {
    view.setUint16(0, 0x4500);
    view.setUint16(2, bytes.length);
    view.setUint16(4, 0x1234);
    view.setUint16(6, 0x4000);
    view.setUint16(8, (64 << 8) | number);
    bytes.set(spec.source.subarray(12), 12);
    bytes.set(spec.destination.subarray(12), 16);
    view.setUint16(10, ~foldSum(sumOctets(view, 0, 20)) & 0xffff);
  }
  view.setUint16(ip, spec.sourcePort ?? 1000);
  view.setUint16(ip + 2, spec.destinationPort ?? 2000);
  if (spec.protocol === 'tcp') {
    view.setUint32(ip + 4, spec.sequence ?? 1);
    view.setUint32(ip + 8, 77);
    view.setUint16(ip + 12, ((header / 4) << 12) | (spec.flags ?? 0x10));
    view.setUint16(ip + 14, 500);
    bytes.set(options, ip + 20);
  } else view.setUint16(ip + 4, inner);
  bytes.set(spec.payload, ip + header);
  const field = ip + (spec.protocol === 'tcp' ? 16 : 6);
  view.setUint16(field, pseudoSum(view, 0, spec.version, number, inner));
  if (!spec.open) {
    const sum = ~foldSum(sumOctets(view, ip, inner)) & 0xffff;
    view.setUint16(field, sum === 0 ? 0xffff : sum);
  }
  return bytes;
}

/** Sums and lengths of a whole packet, checked the slow way, word by word. */
export function isSound(packet: Uint8Array): boolean {
  const version = packet[0]! >> 4;
  const word = (at: number) => (packet[at]! << 8) | (packet[at + 1] ?? 0);
  const add = (from: number, to: number) => {
    let sum = 0;
    for (let i = from; i < to; i += 2) sum += i + 1 < to ? word(i) : packet[i]! << 8;
    return sum;
  };
  const close = (sum: number) => {
    let folded = sum;
    while (folded > 0xffff) folded = (folded & 0xffff) + Math.floor(folded / 0x10000);
    return folded;
  };
  const ip = version === 6 ? 40 : (packet[0]! & 15) * 4;
  const inner = packet.length - ip;
  const length = version === 6 ? word(4) + 40 : word(2);
  if (length !== packet.length) return false;
  if (version === 4 && close(add(0, ip)) !== 0xffff) return false;
  const protocol = version === 6 ? packet[6]! : packet[9]!;
  if (protocol === 17 && word(ip + 4) !== inner) return false;
  const addresses = version === 6 ? add(8, 40) : add(12, 20);
  return close(addresses + protocol + inner + add(ip, packet.length)) === 0xffff;
}

/** Splits a written super-packet as a kernel would: by its virtio header alone. Sums of the pieces are finished. */
export function segmentsOf(written: Uint8Array): Uint8Array[] {
  const view = new DataView(written.buffer, written.byteOffset, written.length);
  const flags = written[0]!;
  const kind = written[1]!;
  const size = view.getUint16(4, true);
  const start = view.getUint16(6, true);
  const offset = view.getUint16(8, true);
  const packet = written.slice(10);
  const version = packet[0]! >> 4;
  if (kind === 0) {
    if (flags & 1) finish(packet, version, start, offset);
    return [packet];
  }
  const headers = view.getUint16(2, true);
  const pieces: Uint8Array[] = [];
  const payload = packet.length - headers;
  for (let at = 0, i = 0; at < payload; at += size, i++) {
    const part = packet.subarray(headers + at, Math.min(packet.length, headers + at + size));
    const piece = new Uint8Array(headers + part.length);
    piece.set(packet.subarray(0, headers));
    piece.set(part, headers);
    const out = new DataView(piece.buffer);
    if (version === 6) out.setUint16(4, piece.length - 40);
    else {
      out.setUint16(2, piece.length);
      out.setUint16(4, (out.getUint16(4) + i) & 0xffff);
      out.setUint16(10, 0);
      out.setUint16(10, ~foldSum(sumOctets(out, 0, 20)) & 0xffff);
    }
    if (kind === 5) out.setUint16(start + 4, piece.length - start);
    else {
      out.setUint32(start + 4, (out.getUint32(start + 4) + at) >>> 0);
      if (at + size < payload) piece[start + 13]! &= ~0x09;
    }
    finish(piece, version, start, offset);
    pieces.push(piece);
  }
  return pieces;
}

function finish(packet: Uint8Array, version: number, start: number, offset: number): void {
  const view = new DataView(packet.buffer, packet.byteOffset, packet.length);
  const protocol = offset === 16 ? 6 : 17;
  view.setUint16(start + offset, pseudoSum(view, 0, version, protocol, packet.length - start));
  const sum = ~foldSum(sumOctets(view, start, packet.length - start)) & 0xffff;
  view.setUint16(start + offset, sum === 0 ? 0xffff : sum);
}
