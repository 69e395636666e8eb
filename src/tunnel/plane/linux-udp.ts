import { formatIp, type IpBytes, isIpv4Bytes, parseIp } from '../../addr/ip.js';
import { MeshError } from '../../errors.js';
import { tagLength, transportHeaderLength } from '../frame.js';
import type { UdpPort, UnderlayAddress } from './adapters.js';
import type { Arena } from './arena.js';
import { Errno, errno, StructMemory, setOption, system } from './linux-system.js';
import type { Segmentation } from './segmentation.js';

const family4 = 2;
const family6 = 10;
const datagram = 2;
const closeOnExec = 0x80000;
const dontWait = 0x40;
const Level = { socket: 1, ip: 0, ipv6: 41, udp: 17 } as const;
const SocketOption = {
  reusePort: 15,
  mark: 36,
  sendBuffer: 7,
  receiveBuffer: 8,
  sendBufferForce: 32,
  receiveBufferForce: 33,
  reusePortFilter: 51,
} as const;
const ipTimeToLive = 2;
const ipMtuDiscover = 10;
const ipv6HopLimit = 16;
const ipv6MtuDiscover = 23;
const ipv6Only = 26;
/** Don't fragment, and believe no ICMP about path sizes: we probe (docs/protocol/plane.md, Sizes). */
const discoverByProbe = 3;
/** Handshakes come before any probe and have 1200 octets: routers may cut them, and we. */
const mayFragment = 0;
const udpSegment = 103;
const udpReceiveOffload = 104;
const bufferOctets = 4 * 1024 * 1024;
/** About 500 initiations: under a flood, what waits longer than a tenth of a second is better asked again. */
const handshakeOctets = 512 * 1024;

export interface UdpSockets {
  /** One a worker, all of the same port. */
  readonly sockets: readonly number[];
  /**
   * One more of that port, for all that is no transport frame, so that a flood of handshakes fills no queue that packets
   * wait in. Undefined where the kernel cannot steer.
   */
  readonly handshakes: number | undefined;
  readonly port: number;
  readonly family: 4 | 6;
  /** SO_MARK of all of them, and of those that dial back. */
  readonly mark: number;
  readonly segmentation: boolean;
  readonly receiveOffload: boolean;
}

export interface UdpOptions {
  readonly port: number;
  /** The address of this machine that is bound; unspecified ("0.0.0.0") for all. */
  readonly address: string;
  readonly sockets: number;
  readonly mark: number;
  readonly ipv6: boolean;
  readonly noUdpGso: boolean;
  readonly noSteering: boolean;
}

/** Opens the sockets of one port. Throws a MeshError where the port is taken. */
export function openUdp(options: UdpOptions): UdpSockets {
  const sockets: number[] = [];
  let port = options.port;
  let family: 4 | 6 = options.ipv6 ? 6 : 4;
  let segmentation = !options.noUdpGso;
  let receiveOffload = !options.noUdpGso;
  try {
    const local = parseIp(options.address) ?? unspecified;
    if (port !== 0) refuseTakenPort(local, port);
    for (let i = 0; i <= options.sockets; i++) {
      let fd = system.socket(family === 6 ? family6 : family4, datagram | closeOnExec, 0);
      if (fd < 0 && i === 0 && family === 6) {
        family = 4; // a kernel booted without IPv6
        fd = system.socket(family4, datagram | closeOnExec, 0);
      }
      if (fd < 0)
        throw new MeshError('socket-failed', `no UDP socket (errno ${errno()})`, 'see the limits of the service');
      sockets.push(fd);
      setUp(fd, family, i === options.sockets ? 0 : i, options.mark, i === options.sockets);
      // Asked once per socket, but the send itself decides: a driver may still refuse, see LinuxUdp.send.
      segmentation &&= setOption(fd, Level.udp, udpSegment, 0);
      receiveOffload &&= setOption(fd, Level.udp, udpReceiveOffload, 1);
      port = bindTo(fd, family, local, port);
    }
  } catch (error) {
    for (const fd of sockets) system.close(fd);
    throw error;
  }
  let handshakes = sockets.pop();
  if (handshakes !== undefined && (options.noSteering || !steer(sockets[0]!, options.sockets))) {
    system.close(handshakes);
    handshakes = undefined;
  }
  return { sockets, handshakes, port, family, mark: options.mark, segmentation, receiveOffload };
}

/** Every IPv4 address of this machine. */
const unspecified: IpBytes = parseIp('0.0.0.0')!;

/**
 * SO_REUSEPORT would let a second daemon of the same user share the port unseen: look with a socket that does not
 * share.
 */
function refuseTakenPort(local: IpBytes, port: number): void {
  if (!isIpv4Bytes(local)) return;
  const fd = system.socket(family4, datagram | closeOnExec, 0);
  if (fd < 0) return;
  const taken = system.bind(fd, socketAddress(4, local, port).address, 16) !== 0 && errno() === Errno.inUse;
  system.close(fd);
  if (taken) throw portInUse(port);
}

function portInUse(port: number): MeshError {
  return new MeshError('port-in-use', `UDP port ${port} is in use by another program`, 'stop it, or set listen');
}

function setUp(fd: number, family: 4 | 6, worker: number, mark: number, forHandshakes: boolean): void {
  setOption(fd, Level.socket, SocketOption.reusePort, 1);
  if (mark !== 0) setOption(fd, Level.socket, SocketOption.mark, mark);
  const room = forHandshakes ? handshakeOctets : bufferOctets;
  if (!setOption(fd, Level.socket, SocketOption.receiveBufferForce, room))
    setOption(fd, Level.socket, SocketOption.receiveBuffer, room);
  if (!setOption(fd, Level.socket, SocketOption.sendBufferForce, bufferOctets))
    setOption(fd, Level.socket, SocketOption.sendBuffer, bufferOctets);
  // The receiver's GRO glues datagrams of one flow; lanes share the ports, so another hop limit keeps them apart, and
  // each burst reaches the worker of its lane whole and in order.
  setOption(fd, Level.ip, ipTimeToLive, 64 - worker);
  if (family === 6) {
    setOption(fd, Level.ipv6, ipv6Only, 0);
    setOption(fd, Level.ipv6, ipv6HopLimit, 64 - worker);
  }
  discover(fd, family, discoverByProbe);
}

/** Whether what leaves may be cut. IPv4 on a socket of family 6 goes by the option of IPv4. */
function discover(fd: number, family: 4 | 6, how: typeof discoverByProbe | typeof mayFragment): void {
  setOption(fd, Level.ip, ipMtuDiscover, how);
  if (family === 6) setOption(fd, Level.ipv6, ipv6MtuDiscover, how);
}

/** "0.0.0.0" on a socket of family 6 is "::": all addresses of both families. */
function socketAddress(family: 4 | 6, local: IpBytes, port: number): StructMemory {
  const address = new StructMemory(28);
  address.view.setUint16(0, family === 6 ? family6 : family4, true);
  address.view.setUint16(2, port);
  const isAny = local.subarray(12).every((octet) => octet === 0) && isIpv4Bytes(local);
  if (family === 4) address.bytes.set(local.subarray(12), 4);
  else if (!isAny) address.bytes.set(local, 8);
  return address;
}

function socketAddressLength(family: 4 | 6): number {
  return family === 6 ? 28 : 16;
}

function bindTo(fd: number, family: 4 | 6, local: IpBytes, port: number): number {
  const address = socketAddress(family, local, port);
  if (system.bind(fd, address.address, socketAddressLength(family)) !== 0) {
    const code = errno();
    if (code === Errno.inUse) throw portInUse(port);
    const where = `UDP ${formatIp(local)} port ${port}`;
    throw new MeshError('bind-failed', `${where} cannot be bound (errno ${code})`, 'choose another in "listen"');
  }
  const size = new StructMemory(4);
  size.setInt(0, 28);
  system.getsockname(fd, address.address, size.address);
  return address.view.getUint16(2);
}

/**
 * A socket that only this machine reaches, at a port of the kernel's choosing; undefined where there is none to be had.
 */
export function openLoopback(family: 4 | 6): { readonly fd: number; readonly port: number } | undefined {
  const fd = system.socket(family === 6 ? family6 : family4, datagram | closeOnExec, 0);
  if (fd < 0) return undefined;
  if (family === 6) setOption(fd, Level.ipv6, ipv6Only, 0);
  setOption(fd, Level.udp, udpReceiveOffload, 1);
  try {
    return { fd, port: bindTo(fd, family, loopback, 0) };
  } catch {
    system.close(fd);
    return undefined; // no loopback interface in this namespace
  }
}

/** Has a socket of `openLoopback` hear this port of loopback alone; whether it does. */
export function connectLoopback(fd: number, family: 4 | 6, port: number): boolean {
  const address = socketAddress(family, loopback, port);
  return system.connect(fd, address.address, socketAddressLength(family)) === 0;
}

const loopback: IpBytes = parseIp('127.0.0.1')!;

/**
 * A classic BPF program chooses the socket: receiver index modulo workers for transport frames, the one behind the
 * workers' for all else, short and empty ones too: a load beyond the end would give them to worker 0. The kernel runs it on
 * the UDP payload. The lanes of a session have one receiver index
 * after the other, so each finds a worker of its own. False where the kernel refuses: it then spreads by hash, and every worker opens
 * every frame.
 */
function steer(fd: number, workers: number): boolean {
  const program = [
    [0x80, 0, 0, 0], // load the length
    [0x35, 0, 2, transportHeaderLength + tagLength], // can it be a frame? else go to the socket of handshakes
    [0x30, 0, 0, 0], // load octet 0, the type
    [0x35, 1, 0, 0x10], // transport frame? skip one
    [0x06, 0, 0, workers], // return the socket of handshakes
    [0x20, 0, 0, 4], // load the receiver index
    [0x94, 0, 0, workers], // modulo
    [0x16, 0, 0, 0], // return it
  ] as const;
  const code = new StructMemory(8 * program.length);
  program.forEach(([operation, ifTrue, ifFalse, value], i) => {
    code.view.setUint16(8 * i, operation, true);
    code.view.setUint8(8 * i + 2, ifTrue);
    code.view.setUint8(8 * i + 3, ifFalse);
    code.view.setUint32(8 * i + 4, value, true);
  });
  const header = new StructMemory(16);
  header.view.setUint16(0, program.length, true);
  header.setPointer(8, code.address);
  return system.setsockopt(fd, Level.socket, SocketOption.reusePortFilter, header.address, 16) === 0;
}

/** Struct layout: message header 56, one iovec 16, socket address 28, control 64. */
const iovecAt = 56;
const nameAt = 72;
const controlAt = 104;

/** By which a burst leaves. */
export interface UdpCalls {
  sendmsg(fd: number, message: number, flags: number): number;
  errno(): number;
}

const kernelCalls: UdpCalls = { sendmsg: system.sendmsg, errno };

/** One socket, in the thread that owns it. */
export class LinuxUdp implements UdpPort {
  segment = 0;
  tooLong = false;
  readonly source: UnderlayAddress = new Uint8Array(18);
  readonly #fd: number;
  readonly #arena: Arena;
  readonly #family: 4 | 6;
  readonly #mark: number;
  readonly #segmentation: Segmentation;
  readonly #calls: UdpCalls;
  readonly #sending = new StructMemory(168);
  readonly #receiving = new StructMemory(168);
  #sendingTo: UnderlayAddress | undefined;

  constructor(
    fd: number,
    kind: Pick<UdpSockets, 'family' | 'mark'>,
    arena: Arena,
    segmentation: Segmentation,
    calls: UdpCalls = kernelCalls,
  ) {
    this.#fd = fd;
    this.#arena = arena;
    this.#family = kind.family;
    this.#mark = kind.mark;
    this.#segmentation = segmentation;
    this.#calls = calls;
    for (const message of [this.#sending, this.#receiving]) {
      message.setPointer(0, message.address + nameAt);
      message.setPointer(16, message.address + iovecAt);
      message.setInt(24, 1);
      message.setPointer(32, message.address + controlAt);
    }
    this.#sending.setInt(controlAt, 18);
    this.#sending.setInt(controlAt + 8, Level.udp);
    this.#sending.setInt(controlAt + 12, udpSegment);
  }

  send(to: UnderlayAddress, at: number, length: number, segment: number): number {
    if (to !== this.#sendingTo) this.#setDestination(to);
    if (segment < length && this.#segmentation.serves(to)) {
      this.#sending.view.setUint16(controlAt + 16, segment, true);
      if (this.#sendOne(at, length, 24)) return 0;
      const code = this.#calls.errno();
      // A full queue is as full for the parts: drop, as a router would, rather than wait and hear nobody meanwhile.
      if (code === Errno.again || code === Errno.noBuffers) {
        this.tooLong = false;
        return Math.ceil(length / segment);
      }
      // The way there is without the offload. (Other errors: a segment larger than the device takes; each part says for itself.)
      if (code === Errno.inputOutput) this.#segmentation.refused(to);
    }
    let lost = 0;
    this.tooLong = false;
    for (let done = 0; done < length; done += segment) {
      if (this.#sendOne(at + done, Math.min(segment, length - done), 0)) continue;
      lost++;
      if (this.#calls.errno() === Errno.messageSize) this.tooLong = true;
    }
    return lost;
  }

  /** By the socket of the frames, which nobody else sends on: another of this port would take part of what comes. */
  sendCuttable(to: UnderlayAddress, at: number, length: number): boolean {
    discover(this.#fd, this.#family, mayFragment);
    try {
      return this.send(to, at, length, length) === 0;
    } finally {
      discover(this.#fd, this.#family, discoverByProbe);
    }
  }

  #sendOne(at: number, length: number, control: number): boolean {
    const message = this.#sending;
    message.setPointer(iovecAt, this.#arena.base, at);
    message.setInt(iovecAt + 8, length);
    message.setInt(40, control);
    return this.#calls.sendmsg(this.#fd, message.address, dontWait) === length;
  }

  #setDestination(to: UnderlayAddress): void {
    this.#sendingTo = to;
    this.#sending.setInt(8, writeName(this.#sending, nameAt, this.#family, to));
  }

  receive(at: number, room: number): number {
    const message = this.#receiving;
    message.setInt(8, 28);
    message.setPointer(iovecAt, this.#arena.base, at);
    message.setInt(iovecAt + 8, room);
    message.setInt(40, 64);
    const length = system.recvmsg(this.#fd, message.address, dontWait);
    if (length <= 0) return length < 0 ? 0 : -1;
    const view = message.view;
    const offload = view.getInt32(40, true) >= 20 && view.getInt32(controlAt + 12, true) === udpReceiveOffload;
    this.segment = offload ? view.getInt32(controlAt + 16, true) : length;
    this.#readSource();
    return length;
  }

  #readSource(): void {
    const { bytes } = this.#receiving;
    const source = this.source;
    source[16] = bytes[nameAt + 2]!;
    source[17] = bytes[nameAt + 3]!;
    if (this.#family === 6) for (let i = 0; i < 16; i++) source[i] = bytes[nameAt + 8 + i]!;
    else {
      source[10] = source[11] = 0xff;
      for (let i = 0; i < 4; i++) source[12 + i] = bytes[nameAt + 4 + i]!;
    }
  }

  sendFresh(to: UnderlayAddress, bytes: Uint8Array): void {
    const fd = system.socket(this.#family === 6 ? family6 : family4, datagram | closeOnExec, 0);
    if (fd < 0) return;
    if (this.#mark !== 0) setOption(fd, Level.socket, SocketOption.mark, this.#mark);
    const message = new StructMemory(168);
    const body = new StructMemory(bytes.length);
    body.bytes.set(bytes);
    message.setPointer(0, message.address + nameAt);
    message.setInt(8, writeName(message, nameAt, this.#family, to));
    message.setPointer(16, message.address + iovecAt);
    message.setInt(24, 1);
    message.setPointer(iovecAt, body.address);
    message.setInt(iovecAt + 8, bytes.length);
    system.sendmsg(fd, message.address, dontWait);
    system.close(fd);
  }
}

/** Writes a socket address; its length. */
function writeName(memory: StructMemory, at: number, family: 4 | 6, to: UnderlayAddress): number {
  const { bytes, view } = memory;
  bytes[at + 2] = to[16]!;
  bytes[at + 3] = to[17]!;
  if (family === 6) {
    view.setUint16(at, family6, true);
    view.setUint32(at + 4, 0);
    bytes.set(to.subarray(0, 16), at + 8);
    view.setUint32(at + 24, 0);
    return 28;
  }
  view.setUint16(at, family4, true);
  bytes.set(to.subarray(12, 16), at + 4);
  return 16;
}
