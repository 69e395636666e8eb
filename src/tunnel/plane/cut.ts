import { finishSum, pseudoSum, sumIpv4Header } from './checksum.js';
import { Protocol, TcpFlag } from './packet.js';

/**
 * Cuts one of our kernel's super-packets into segments, where it lies: each segment's headers are written right in
 * front of its payload, over the end of the segment before, which was sealed by then. So a payload is never copied.
 *
 *   super-packet   [headers][payload 0 ............][payload 1 ............][payload 2 ..]
 *   segment 1                            [headers'][payload 1 ............]
 *
 * Use: begin, then next() until it says false; at and length name the segment; it holds until next() is called again.
 */
export class Cutter {
  at = 0;
  length = 0;
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  readonly #template = new Uint8Array(256);
  readonly #templateView = new DataView(this.#template.buffer);
  #version = 0;
  #tcp = false;
  #ipHeader = 0;
  #headers = 0;
  #size = 0;
  #payload = 0;
  #end = 0;
  #index = 0;
  /** Signed, as V8's small integers are: what grows beyond them makes it throw away what it compiled. */
  #sequence = 0;
  #identification = 0;
  #flags = 0;
  #openSums = true;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  /**
   * A packet of `length` octets at `at` whose TCP or UDP header begins `transport` octets in. `size`: payload octets of a
   * segment. `openSums`: leave the segments' sums to the far end; otherwise each segment's sum is computed here.
   * False when the numbers make no sense.
   */
  begin(at: number, length: number, transport: number, udp: boolean, size: number, openSums: boolean): boolean {
    const view = this.#view;
    const tcpHeader = udp ? 8 : transport + 20 <= length ? (view.getUint8(at + transport + 12) >>> 4) << 2 : 0;
    this.#headers = transport + tcpHeader;
    if (tcpHeader < 8 || size < 1 || this.#headers > length || this.#headers > 256) return false;
    this.#version = view.getUint8(at) >>> 4;
    this.#tcp = !udp;
    this.#ipHeader = transport;
    this.#size = size;
    this.#payload = at + this.#headers;
    this.#end = at + length;
    this.#index = 0;
    this.#openSums = openSums;
    for (let i = 0; i < this.#headers; i++) this.#template[i] = this.#bytes[at + i]!;
    this.#identification = this.#version === 4 ? view.getUint16(at + 4) : 0;
    if (this.#tcp) {
      this.#sequence = view.getInt32(at + transport + 4);
      this.#flags = view.getUint8(at + transport + 13);
    }
    return true;
  }

  /** How many segments there will be in all. */
  get count(): number {
    return Math.max(1, Math.ceil((this.#end - this.#payload) / this.#size));
  }

  /** Octets of every segment but the last, which may be shorter. */
  get longest(): number {
    return this.#headers + Math.min(this.#size, this.#end - this.#payload);
  }

  next(): boolean {
    if (this.#payload >= this.#end && this.#index > 0) return false;
    const view = this.#view;
    const payloadLength = Math.min(this.#size, this.#end - this.#payload);
    const last = this.#payload + payloadLength >= this.#end;
    const at = this.#payload - this.#headers;
    const length = this.#headers + payloadLength;
    const transport = at + this.#ipHeader;
    if (this.#index > 0) this.#copyHeaders(at);
    if (this.#version === 6) view.setUint16(at + 4, length - 40);
    else {
      view.setUint16(at + 2, length);
      view.setUint16(at + 4, (this.#identification + this.#index) & 0xffff);
      sumIpv4Header(view, at, (this.#template[0]! & 15) << 2);
    }
    if (this.#tcp) {
      // Brought back to 32 bits here: V8 of Node.js 24 allocates a sum beyond them though setInt32 takes its low bits only.
      view.setInt32(transport + 4, (this.#sequence + this.#index * this.#size) | 0);
      let flags = this.#flags;
      if (!last) flags &= ~(TcpFlag.fin | TcpFlag.psh);
      if (this.#index > 0) flags &= ~TcpFlag.cwr;
      view.setUint8(transport + 13, flags);
    } else view.setUint16(transport + 4, length - this.#ipHeader);
    if (!this.#openSums) this.#closeSum(at, transport, length - this.#ipHeader);
    this.at = at;
    this.length = length;
    this.#payload += payloadLength;
    this.#index++;
    return true;
  }

  /** Words at a time: a copyWithin costs more than the copying at this length. */
  #copyHeaders(at: number): void {
    const view = this.#view;
    const template = this.#templateView;
    const words = this.#headers & ~3;
    for (let i = 0; i < words; i += 4) view.setInt32(at + i, template.getInt32(i));
    for (let i = words; i < this.#headers; i++) this.#bytes[at + i] = this.#template[i]!;
  }

  #closeSum(at: number, transport: number, length: number): void {
    const protocol = this.#tcp ? Protocol.tcp : Protocol.udp;
    const offset = this.#tcp ? 16 : 6;
    this.#view.setUint16(transport + offset, pseudoSum(this.#view, at, this.#version, protocol, length));
    finishSum(this.#view, transport, offset, length);
  }
}
