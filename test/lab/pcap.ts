import { readFileSync } from 'node:fs';

/** One UDP datagram of a capture. */
export interface Captured {
  readonly source: string;
  readonly payload: Uint8Array;
}

/** The UDP datagrams over IPv4 in a file that tcpdump wrote on an Ethernet device, unfragmented ones. */
export function udpDatagrams(file: string): Captured[] {
  const datagrams: Captured[] = [];
  for (const frame of ipv4Frames(file, 17)) {
    const ip = 14 + (frame[14]! & 15) * 4;
    datagrams.push({
      source: [...frame.subarray(26, 30)].join('.'),
      payload: new Uint8Array(frame.subarray(ip + 8, ip + frame.readUInt16BE(ip + 4))),
    });
  }
  return datagrams;
}

/** Bits of entropy per octet, of the octets' frequencies alone: 8 for noise. */
export function entropy(pieces: readonly Uint8Array[]): number {
  const counts = new Float64Array(256);
  let total = 0;
  for (const piece of pieces) {
    for (const octet of piece) counts[octet]!++;
    total += piece.length;
  }
  let bits = 0;
  for (const count of counts) if (count > 0) bits -= (count / total) * Math.log2(count / total);
  return bits;
}

/** How many answers to pings a capture holds. */
export function echoReplies(file: string): number {
  let count = 0;
  for (const frame of ipv4Frames(file, 1)) if (frame[14 + (frame[14]! & 15) * 4] === 0) count++;
  return count;
}

/** What the first side that spoke said first on each TCP connection of a capture, and to whom. */
export function tcpOpenings(file: string): { readonly to: string; readonly payload: Uint8Array }[] {
  const openings = new Map<string, { readonly to: string; readonly payload: Uint8Array }>();
  for (const frame of ipv4Frames(file, 6)) {
    const ip = 14 + (frame[14]! & 15) * 4;
    const ports = [frame.readUInt16BE(ip), frame.readUInt16BE(ip + 2)];
    const payload = frame.subarray(ip + (frame[ip + 12]! >> 4) * 4, 14 + frame.readUInt16BE(16));
    const [from, to] = [26, 30].map((at, i) => `${[...frame.subarray(at, at + 4)].join('.')}:${ports[i]}`);
    const connection = [from, to].sort().join(' ');
    if (payload.length > 0 && !openings.has(connection)) openings.set(connection, { to: to!, payload });
  }
  return [...openings.values()];
}

/** The frames of one IP protocol over IPv4. */
function* ipv4Frames(file: string, protocol: number): Generator<Buffer> {
  const bytes = readFileSync(file);
  for (let at = 24; at + 16 <= bytes.length; ) {
    const length = bytes.readUInt32LE(at + 8);
    const frame = bytes.subarray(at + 16, at + 16 + length);
    at += 16 + length;
    if (frame.length >= 42 && frame.readUInt16BE(12) === 0x0800 && frame[23] === protocol) yield frame;
  }
}
