import type { TunPort } from './adapters.js';
import type { Arena } from './arena.js';
import { finishSum, pseudoSum, sumIpv4Header } from './checksum.js';
import type { Drops } from './drops.js';
import { Gather } from './gather.js';
import { type PacketShape, Protocol, TcpFlag } from './packet.js';
import { VirtioGso, virtioHeaderLength, writeOpenVirtio, writePlainVirtio } from './virtio.js';

const longestPacket = 65_535;

/**
 * Hands opened packets to the kernel, consecutive segments of one flow as one write.
 *
 * Every packet lies in the arena with at least 10 octets in front of it that may be overwritten (its transport header).
 * The group written is: those 10 octets as a virtio header made here, the first packet with its lengths mended, and the
 * other segments' payloads where they lie. What the virtio header says comes from the packet we parsed, never from a
 * peer.
 */
export class Glue {
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  readonly #tun: TunPort;
  readonly #drops: Drops;
  readonly #gather = new Gather();
  /** The open group: its first packet, and what the next segment must look like. */
  #at = 0;
  #length = 0;
  #segments = 0;
  #open = false;
  #version = 0;
  #protocol = 0;
  #ipHeader = 0;
  #headers = 0;
  #size = 0;
  /** Signed, as V8's small integers are: what grows beyond them makes it throw away what it compiled. */
  #nextSequence = 0;
  #closed = false;

  constructor(arena: Arena, tun: TunPort, drops: Drops) {
    this.#bytes = arena.bytes;
    this.#view = arena.view;
    this.#tun = tun;
    this.#drops = drops;
  }

  /** Takes one packet; its octets must stay until the next flush. `open`: its checksum is open (and it is `plain`). */
  add(packet: PacketShape, open: boolean): void {
    if (this.#segments > 0) {
      if (open && this.#continues(packet)) {
        this.#append(packet);
        return;
      }
      this.flush();
    }
    this.#begin(packet, open);
  }

  #begin(packet: PacketShape, open: boolean): void {
    this.#at = packet.at;
    this.#length = packet.length;
    this.#segments = 1;
    this.#open = open;
    this.#version = packet.version;
    this.#protocol = packet.protocol;
    this.#ipHeader = packet.ipHeader;
    this.#headers = packet.headers;
    this.#gather.clear();
    this.#gather.add(packet.at - virtioHeaderLength, packet.length + virtioHeaderLength);
    this.#closed = true;
    if (!open) return;
    this.#size = packet.length - packet.headers;
    if (this.#size === 0) return;
    if (packet.protocol === Protocol.tcp) {
      if (!this.#tun.tcpSegmentation) return;
      const flags = this.#view.getUint8(packet.transport + 13);
      this.#closed = (flags & ~(TcpFlag.ece | TcpFlag.ack)) !== 0 || (flags & TcpFlag.ack) === 0;
      this.#nextSequence = (this.#view.getInt32(packet.transport + 4) + this.#size) | 0;
    } else this.#closed = !this.#tun.udpSegmentation;
  }

  /** True when the packet is the next segment of the open group. */
  #continues(packet: PacketShape): boolean {
    if (this.#closed || !this.#open || packet.protocol !== this.#protocol || packet.version !== this.#version)
      return false;
    const payload = packet.length - packet.headers;
    if (packet.headers !== this.#headers || payload === 0 || payload > this.#size) return false;
    if (this.#length + payload > longestPacket || this.#gather.isFull) return false;
    return this.#sameIp(packet) && (packet.protocol === Protocol.tcp ? this.#nextTcp(packet) : this.#sameUdp(packet));
  }

  #sameIp(packet: PacketShape): boolean {
    const view = this.#view;
    const a = this.#at;
    const b = packet.at;
    if (packet.version === 6) {
      // Version, class, label; hop limit with next header; addresses.
      if (view.getInt32(a) !== view.getInt32(b) || view.getUint16(a + 6) !== view.getUint16(b + 6)) return false;
      for (let i = 8; i < 40; i += 4) if (view.getInt32(a + i) !== view.getInt32(b + i)) return false;
      return true;
    }
    // Version and class; don't-fragment; TTL with protocol; addresses.
    return (
      view.getUint16(a) === view.getUint16(b) &&
      view.getUint16(a + 6) === view.getUint16(b + 6) &&
      view.getUint16(a + 8) === view.getUint16(b + 8) &&
      view.getInt32(a + 12) === view.getInt32(b + 12) &&
      view.getInt32(a + 16) === view.getInt32(b + 16)
    );
  }

  #nextTcp(packet: PacketShape): boolean {
    const view = this.#view;
    const a = this.#at + this.#ipHeader;
    const b = packet.transport;
    if (view.getInt32(a) !== view.getInt32(b) || view.getInt32(b + 4) !== this.#nextSequence) return false;
    if (view.getInt32(a + 8) !== view.getInt32(b + 8)) return false;
    // Data offset, flags, window: equal but for PSH, which may end the group.
    if (((view.getInt32(a + 12) ^ view.getInt32(b + 12)) & ~(TcpFlag.psh << 16)) !== 0) return false;
    for (let i = 20; i < this.#headers - this.#ipHeader; i += 4)
      if (view.getInt32(a + i) !== view.getInt32(b + i)) return false;
    return true;
  }

  #sameUdp(packet: PacketShape): boolean {
    return this.#view.getInt32(this.#at + this.#ipHeader) === this.#view.getInt32(packet.transport);
  }

  #append(packet: PacketShape): void {
    const payload = packet.length - packet.headers;
    this.#gather.add(packet.at + packet.headers, payload);
    this.#length += payload;
    this.#segments++;
    this.#nextSequence = (this.#nextSequence + payload) | 0;
    if (payload < this.#size) this.#closed = true;
    if (packet.protocol === Protocol.tcp && (this.#view.getUint8(packet.transport + 13) & TcpFlag.psh) !== 0) {
      const flags = this.#at + this.#ipHeader + 13;
      this.#bytes[flags] = this.#bytes[flags]! | TcpFlag.psh;
      this.#closed = true;
    }
  }

  /** Writes the open group. Call before its octets are used again. */
  flush(): void {
    if (this.#segments === 0) return;
    const view = this.#view;
    const at = this.#at;
    const virtio = at - virtioHeaderLength;
    if (this.#open) {
      const transport = at + this.#ipHeader;
      const inner = this.#length - this.#ipHeader;
      const sumOffset = this.#protocol === Protocol.tcp ? 16 : 6;
      if (this.#segments > 1) this.#mendLengths(at, transport, inner);
      view.setUint16(transport + sumOffset, pseudoSum(view, at, this.#version, this.#protocol, inner));
      if (this.#tun.offload) {
        const tcp = this.#version === 6 ? VirtioGso.tcp6 : VirtioGso.tcp4;
        const kind = this.#protocol === Protocol.tcp ? tcp : VirtioGso.udp;
        if (this.#segments > 1)
          writeOpenVirtio(view, virtio, kind, this.#headers, this.#size, this.#ipHeader, sumOffset);
        else writeOpenVirtio(view, virtio, VirtioGso.none, 0, 0, this.#ipHeader, sumOffset);
      } else {
        finishSum(view, transport, sumOffset, inner);
        writePlainVirtio(view, virtio);
      }
    } else writePlainVirtio(view, virtio);
    this.#segments = 0;
    if (!this.#tun.write(this.#gather)) this.#drops.count('tun-write-failed');
  }

  #mendLengths(at: number, transport: number, inner: number): void {
    const view = this.#view;
    if (this.#version === 6) view.setUint16(at + 4, inner);
    else {
      view.setUint16(at + 2, this.#length);
      sumIpv4Header(view, at, 20);
    }
    if (this.#protocol === Protocol.udp) view.setUint16(transport + 4, inner);
  }
}
