import { monotonicMicros } from '../../daemon/lan/sockets.js';
import { formatIp, type IpBytes } from '../../src/addr/ip.js';
import type { Millis } from '../../src/time.js';
import { tlvsOf } from '../routing/tlvs.js';
import { patience, until } from './until.js';
import { type Host, linkLocalOf, type World } from './world.js';

/** A datagram to or from the Babel port, as it passed the LAN. */
export interface WirePacket {
  /** When the kernel saw it, on the machine's monotonic clock; never before what passed earlier on this LAN. */
  readonly at: Millis;
  readonly source: string;
  readonly destination: string;
  readonly sourcePort: number;
  readonly destinationPort: number;
  readonly hopLimit: number;
  /** Of the UDP payload. */
  readonly octets: number;
  /** One line a TLV, as `tlvsOf` writes them. */
  readonly tlvs: readonly string[];
}

const lately: Millis = 6000;
const fileHeader = 24;
const recordHeader = 16;
const ethernet = 14;
const ipv6 = 40;
const udp = 8;

/** Everything said in Babel on one LAN of a world, with the kernel's time: what a change is timed from. */
export class Wire {
  readonly packets: WirePacket[] = [];
  readonly #lan: string;
  #unread: Buffer = Buffer.alloc(0);
  #listens = false;

  constructor(world: World, lan: string) {
    this.#lan = lan;
    const tap = world.tap(lan, 'tcpdump -i br0 -Z root -s 0 --immediate-mode -U -w - udp port 6696');
    tap.stdout!.on('data', (chunk: Buffer) => this.#take(chunk));
  }

  async ready(): Promise<this> {
    await until(`tcpdump listens on ${this.#lan}`, patience, () => this.#listens);
    return this;
  }

  /** Waits for the first packet of this host from `since` on with such a TLV; when it passed. */
  async first(from: Host, since: Millis, said: string, tlv: RegExp | ((line: string) => boolean)): Promise<Millis> {
    const matches = tlv instanceof RegExp ? (line: string) => tlv.test(line) : tlv;
    const source = linkLocalOf(from);
    return until(`${from.name} says on ${this.#lan}: ${said}`, patience, () => {
      return this.packets.find((packet) => packet.at >= since && packet.source === source && packet.tlvs.some(matches))
        ?.at;
    });
  }

  /**
   * Since when this host hears that one, as it said between the two moments: its first IHU with a cost after the last
   * without one.
   */
  beganToHear(from: Host, heard: Host, since: Millis, before: Millis): Millis {
    const ihu = `ihu ${linkLocalOf(heard)} rxcost `;
    const said = this.of(from)
      .filter(({ at }) => at >= since && at < before)
      .flatMap(({ at, tlvs }) => tlvs.filter((tlv) => tlv.startsWith(ihu)).map((tlv) => ({ at, tlv })));
    return said[said.findLastIndex(({ tlv }) => tlv.startsWith(`${ihu}65535`)) + 1]!.at;
  }

  /** When the last Hello of this host passed, of those before `before`, which was a while ago: tcpdump is heard late. */
  lastHello(from: Host, before: Millis): Millis {
    const hellos = this.of(from).filter(({ at, tlvs }) => at < before && tlvs.some((line) => line.startsWith('hello')));
    return hellos.at(-1)!.at;
  }

  /** What passed in the last seconds, for the message of a failure. */
  evidence(): string {
    const lines = this.packets
      .filter(({ at }) => at > monotonicMicros() / 1000 - lately)
      .map(({ at, source, destination, tlvs }) => `${Math.round(at)} ${source} to ${destination}: ${tlvs.join(', ')}`);
    return `on ${this.#lan}:\n${lines.map((line) => line.slice(0, 400)).join('\n')}`;
  }

  /** All that this host said. */
  of(from: Host): WirePacket[] {
    const source = linkLocalOf(from);
    return this.packets.filter((packet) => packet.source === source);
  }

  #take(chunk: Buffer): void {
    const offset = aheadOfWallClock();
    this.#unread = Buffer.concat([this.#unread, chunk]);
    if (!this.#listens && this.#unread.length >= fileHeader) {
      this.#listens = true;
      this.#unread = this.#unread.subarray(fileHeader);
    }
    while (this.#listens && this.#unread.length >= recordHeader) {
      const length = recordHeader + this.#unread.readUInt32LE(8);
      if (this.#unread.length < length) break;
      const at = this.#unread.readUInt32LE(0) * 1000 + this.#unread.readUInt32LE(4) / 1000 + offset;
      this.#note(Math.max(at, this.packets.at(-1)?.at ?? at), this.#unread.subarray(recordHeader, length));
      this.#unread = this.#unread.subarray(length);
    }
  }

  #note(at: Millis, frame: Buffer): void {
    if (frame.length < ethernet + ipv6 + udp || frame.readUInt16BE(12) !== 0x86dd) return;
    const source: IpBytes = new Uint8Array(frame.subarray(ethernet + 8, ethernet + 24));
    const transport = ethernet + ipv6;
    const payload = new Uint8Array(frame.subarray(transport + udp, transport + frame.readUInt16BE(transport + 4)));
    this.packets.push({
      at,
      source: formatIp(source),
      destination: formatIp(new Uint8Array(frame.subarray(ethernet + 24, transport))),
      sourcePort: frame.readUInt16BE(transport),
      destinationPort: frame.readUInt16BE(transport + 2),
      hopLimit: frame[ethernet + 7]!,
      octets: payload.length,
      tlvs: tlvsOf(payload, source),
    });
  }
}

/**
 * How far the monotonic clock is ahead of the wall clock, which pcap times are of and which may be set meanwhile. It is
 * looked at until a millisecond begins, for Date.now() has no fractions: with an error of one millisecond, the answer on one
 * LAN could seem to come before the question on another. The least counts: it is the moment at which a millisecond begins,
 * and not one at which we were kept waiting between the two clocks.
 */
function aheadOfWallClock(): Millis {
  const before = Date.now();
  let least = Number.POSITIVE_INFINITY;
  for (let now = before; now === before; ) {
    now = Date.now();
    least = Math.min(least, monotonicMicros() / 1000 - now);
  }
  return least;
}
