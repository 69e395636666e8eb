import { createSocket, type RemoteInfo, type Socket } from 'node:dgram';
import { formatIp, type IpBytes, parseIp } from '../../src/addr/ip.js';
import { equalBytes } from '../../src/bytes.js';
import { errno, foreignIfAny } from '../../src/ffi.js';
import type { Micros } from '../../src/time.js';
import type { LanDevice } from './device.js';

/** RFC 8966 §4: the port, both source and destination, and the group. */
export const babelPort = 6696;
export const babelGroup = 'ff02::1:6';

/** A Babel packet as it came from a LAN. */
export interface LanPacket {
  readonly source: IpBytes;
  readonly multicast: boolean;
  /** The caller's to keep. */
  readonly bytes: Uint8Array;
  /** Monotonic, taken first thing in the callback (RFC 9616 §3.2). */
  readonly receivedAt: Micros;
}

/** Why a datagram was dropped before parsing (RFC 8966 §4). */
export type LanDrop = 'port' | 'source' | 'own';

export interface LanSocketsOptions {
  readonly received: (packet: LanPacket) => void;
  readonly dropped: (reason: LanDrop) => void;
  /** The sockets are of no use any more, such as when the interface is gone; close them. */
  readonly failed: (cause: Error) => void;
}

/** The monotonic clock in microseconds. */
export function monotonicMicros(): Micros {
  return Number(process.hrtime.bigint() / 1000n);
}

/**
 * Two sockets on one interface: one bound to the group hears multicast only, one bound to our link-local address hears
 * unicast only and sends everything, with hop limit 1 and class selector 6. So the kind of destination is known without
 * IPV6_PKTINFO, which Node lacks.
 */
export class LanSockets {
  readonly #device: LanDevice;
  readonly #options: LanSocketsOptions;
  readonly #group: Socket;
  readonly #own: Socket;
  #closed = false;

  private constructor(device: LanDevice, options: LanSocketsOptions, group: Socket, own: Socket) {
    this.#device = device;
    this.#options = options;
    this.#group = group;
    this.#own = own;
    group.on('message', (bytes, from) => this.#take(bytes, from, true));
    own.on('message', (bytes, from) => this.#take(bytes, from, false));
    for (const socket of [group, own]) socket.on('error', (cause) => this.#closed || options.failed(cause));
  }

  /** Rejects when the port is taken or the interface is gone. */
  static async open(device: LanDevice, options: LanSocketsOptions): Promise<LanSockets> {
    const group = createSocket('udp6');
    const own = createSocket('udp6');
    try {
      await bind(group, `${babelGroup}%${device.name}`);
      group.addMembership(babelGroup, `::%${device.name}`);
      await bind(own, `${formatIp(device.linkLocal)}%${device.name}`);
      own.setMulticastInterface(`::%${device.name}`);
      own.setMulticastTTL(1);
      own.setTTL(1);
      own.setMulticastLoopback(false);
      markNetworkControl(own);
    } catch (cause) {
      group.close();
      own.close();
      throw cause;
    }
    return new LanSockets(device, options, group, own);
  }

  #take(bytes: Uint8Array, from: RemoteInfo, multicast: boolean): void {
    const receivedAt = monotonicMicros();
    const source = parseIp(from.address.split('%')[0]!);
    const reason = this.#refusal(source, from.port);
    if (reason || !source) this.#options.dropped(reason ?? 'source');
    else this.#options.received({ source, multicast, bytes, receivedAt });
  }

  #refusal(source: IpBytes | undefined, port: number): LanDrop | undefined {
    if (port !== babelPort) return 'port';
    if (source?.[0] !== 0xfe || (source[1]! & 0xc0) !== 0x80) return 'source';
    return equalBytes(source, this.#device.linkLocal) ? 'own' : undefined;
  }

  /** Sends to the group, or to one neighbour. A datagram the kernel refuses is lost, as on any LAN. */
  send(bytes: Uint8Array, to?: IpBytes): void {
    if (this.#closed) return;
    const address = `${to ? formatIp(to) : babelGroup}%${this.#device.name}`;
    this.#own.send(bytes, babelPort, address, (cause) => {
      // ENODEV and EADDRNOTAVAIL mean that the interface changed below us; anything else is a lost packet.
      const code = (cause as NodeJS.ErrnoException | null)?.code;
      if (cause && !this.#closed && (code === 'ENODEV' || code === 'EADDRNOTAVAIL')) this.#options.failed(cause);
    });
  }

  /** Closes after what was sent has left. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#group.close();
    this.#own.close();
  }
}

function bind(socket: Socket, address: string): Promise<void> {
  return new Promise((resolve, reject) => {
    socket.once('error', reject);
    socket.bind({ port: babelPort, address, exclusive: true }, () => {
      socket.off('error', reject);
      resolve();
    });
  });
}

const ipprotoIpv6 = 41;
const ipv6Tclass = 67;
const classSelector6 = 0xc0;

/** Marks what is sent as network control (DSCP CS6), where the descriptor can be had; false where not. */
function markNetworkControl(socket: Socket): boolean {
  const fd = descriptorOf(socket);
  const setsockopt = foreignIfAny('int setsockopt(int fd, int level, int name, const void *value, uint32_t length)');
  if (fd === undefined || fd < 0 || !setsockopt) return false;
  const value = new Uint8Array(new Int32Array([classSelector6]).buffer);
  return setsockopt(fd, ipprotoIpv6, ipv6Tclass, value, value.length) === 0 || errno() === 0;
}

/** The socket's descriptor, which Node 20 keeps behind a symbol; undefined where it does not. */
function descriptorOf(socket: Socket): number | undefined {
  const symbol = Object.getOwnPropertySymbols(socket).find((held) => held.description === 'state symbol');
  const state = symbol && (socket as unknown as Record<symbol, { handle?: { fd?: number } } | undefined>)[symbol];
  return state?.handle?.fd;
}
