import type { Transport } from './contract.js';

/**
 * NAT-PMP messages (RFC 6886 §3), UDP to the router's port 5351. Big-endian.
 *
 *   request, external address:  version 0 u8 | opcode 0 u8
 *   answer:                     version u8 | opcode 128 u8 | result u16 | epoch u32 | IPv4 address 4
 *   request, map UDP (TCP):     version 0 u8 | opcode 1 (2) u8 | zero u16 | internal u16 | external u16 | lifetime u32
 *   answer:                     version u8 | opcode 129 (130) u8 | result u16 | epoch u32 | internal u16 | external u16 | lifetime u32
 */
export const natPmpPort = 5351;

export interface NatPmpAddress {
  readonly kind: 'address';
  readonly epochSeconds: number;
  readonly address: string;
}

export interface NatPmpMapping {
  readonly kind: 'mapping';
  readonly transport: Transport;
  readonly epochSeconds: number;
  readonly internalPort: number;
  readonly externalPort: number;
  readonly leaseSeconds: number;
}

/** A result other than success; `opcode` is that of the request. */
export interface NatPmpFailure {
  readonly kind: 'failure';
  readonly opcode: number;
  readonly result: number;
}

export type NatPmpAnswer = NatPmpAddress | NatPmpMapping | NatPmpFailure;

export const opcodeAddress = 0;
/** Of a request to map. */
export const opcodeMap: Readonly<Record<Transport, number>> = { udp: 1, tcp: 2 };

export function encodeAddressRequest(): Uint8Array {
  return new Uint8Array([0, opcodeAddress]);
}

const transports: readonly Transport[] = ['udp', 'tcp'];

/** A lease of 0 removes the mapping of the internal port; the external port is then sent as 0 (RFC 6886 §3.4). */
export function encodeMapRequest(
  transport: Transport,
  internalPort: number,
  externalPort: number,
  leaseSeconds: number,
): Uint8Array {
  const bytes = new Uint8Array(12);
  const view = new DataView(bytes.buffer);
  view.setUint8(1, opcodeMap[transport]);
  view.setUint16(4, internalPort);
  view.setUint16(6, leaseSeconds === 0 ? 0 : externalPort);
  view.setUint32(8, leaseSeconds);
  return bytes;
}

/** Where routers tell all of a network of another address or a start of theirs (RFC 6886 §3.2.1). */
export const natPmpAnnouncementGroup = '224.0.0.1';
export const natPmpAnnouncementPort = 5350;
const pcpVersion = 2;
const pcpAnnounced = 0x80;
const pcpHeaderLength = 24;

/** An answer about the address that nobody asked for; or the announcement of PCP, the next version (RFC 6887 §14.1). */
export function isNatPmpAnnouncement(bytes: Uint8Array): boolean {
  if (bytes[0] === pcpVersion) return bytes[1] === pcpAnnounced && bytes.length >= pcpHeaderLength;
  return decodeNatPmp(bytes)?.kind === 'address';
}

/** The answer in these octets, or undefined when they are none. */
export function decodeNatPmp(bytes: Uint8Array): NatPmpAnswer | undefined {
  if (bytes.length < 4 || bytes[0] !== 0 || bytes[1]! < 128) return undefined;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const opcode = bytes[1]! - 128;
  const result = view.getUint16(2);
  if (result !== 0) return { kind: 'failure', opcode, result };
  if (bytes.length < 12) return undefined;
  const epochSeconds = view.getUint32(4);
  if (opcode === opcodeAddress) return { kind: 'address', epochSeconds, address: bytes.subarray(8, 12).join('.') };
  const transport = transports.find((each) => opcodeMap[each] === opcode);
  if (!transport || bytes.length < 16) return undefined;
  return {
    kind: 'mapping',
    transport,
    epochSeconds,
    internalPort: view.getUint16(8),
    externalPort: view.getUint16(10),
    leaseSeconds: view.getUint32(12),
  };
}

/**
 * Whether a router that showed `before` and shows `after` `elapsedSeconds` later has lost its tables in between
 * (RFC 6886 §3.6: its clock may run at 7/8 of ours, two seconds of grace).
 */
export function epochWasReset(before: number, after: number, elapsedSeconds: number): boolean {
  return after + 2 < before + (elapsedSeconds * 7) / 8;
}
