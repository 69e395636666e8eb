/**
 * The header in front of every packet of a TUN with IFF_VNET_HDR (virtio 1.2 §5.1.6, in the machine's byte order):
 *
 *   flags u8 │ GSO type u8 │ header length u16 │ GSO size u16 │ checksum start u16 │ checksum offset u16
 *
 * It is read from our own kernel and written by us. Nothing of it ever crosses the wire.
 */
export const virtioHeaderLength = 10;
const virtioNeedsChecksum = 1;
export const VirtioGso = { none: 0, tcp4: 1, udpFragment: 3, tcp6: 4, udp: 5, ecnBit: 0x80 } as const;

/** What our kernel says about a packet it handed us; one object, used again. */
export class VirtioHeader {
  needsChecksum = false;
  gso = 0;
  size = 0;
  start = 0;
  offset = 0;

  read(view: DataView, at: number): void {
    this.needsChecksum = (view.getUint8(at) & virtioNeedsChecksum) !== 0;
    this.gso = view.getUint8(at + 1) & ~VirtioGso.ecnBit;
    this.size = view.getUint16(at + 4, true);
    this.start = view.getUint16(at + 6, true);
    this.offset = view.getUint16(at + 8, true);
  }
}

/** A packet as it is: nothing open, nothing to cut. */
export function writePlainVirtio(view: DataView, at: number): void {
  view.setUint32(at, 0);
  view.setUint32(at + 4, 0);
  view.setUint16(at + 8, 0);
}

/**
 * A packet whose sum is open, to be cut by the kernel into pieces of `size` octets behind the headers when `gso` is
 * set.
 */
export function writeOpenVirtio(
  view: DataView,
  at: number,
  gso: number,
  headers: number,
  size: number,
  start: number,
  offset: number,
): void {
  view.setUint8(at, virtioNeedsChecksum);
  view.setUint8(at + 1, gso);
  view.setUint16(at + 2, headers, true);
  view.setUint16(at + 4, size, true);
  view.setUint16(at + 6, start, true);
  view.setUint16(at + 8, offset, true);
}
