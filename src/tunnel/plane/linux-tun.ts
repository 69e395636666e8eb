import { MeshError } from '../../errors.js';
import type { TunPort } from './adapters.js';
import type { Arena } from './arena.js';
import type { Gather } from './gather.js';
import { Errno, errno, StructMemory, system } from './linux-system.js';
import { virtioHeaderLength } from './virtio.js';

const tunSetInterface = 0x400454ca;
const tunSetPersist = 0x400454cb;
const tunSetOffload = 0x400454d0;
/** Close-on-exec too: an `ip` or `ping` that outlives a killed daemon must not hold the device. */
const openReadWriteNonBlocking = 0x80802;
const setQueueLength = 0x8943;
/**
 * Packets the kernel holds for each worker; its default is 500. At 200 octets that is gone in the few milliseconds a busy
 * machine may take to schedule us, while TCP's own limits end its backlog long before either.
 */
const queueLength = 5000;
const Flag = { tun: 0x0001, noPacketInfo: 0x1000, virtioHeader: 0x4000, multiQueue: 0x0100 } as const;
const Offload = { checksum: 0x01, tso4: 0x02, tso6: 0x04, ecn: 0x08, uso4: 0x20, uso6: 0x40 } as const;

export interface TunQueues {
  /** One file descriptor a worker. */
  readonly queues: readonly number[];
  readonly virtioHeader: boolean;
  readonly tcpSegmentation: boolean;
  readonly udpSegmentation: boolean;
}

export interface TunOptions {
  readonly name: string;
  readonly queues: number;
  readonly persistent: boolean;
  readonly noVnetHeader: boolean;
  readonly noTso: boolean;
  readonly noUso: boolean;
}

/** Opens (and where needed makes) the TUN. Throws a MeshError that says what the operator can do. */
export function openTun(options: TunOptions): TunQueues {
  const queues: number[] = [];
  const virtioHeader = !options.noVnetHeader;
  let offload = 0;
  try {
    for (let i = 0; i < options.queues; i++) {
      const fd = openQueue(options.name, virtioHeader);
      queues.push(fd);
      // A persistent TUN keeps the offloads of whoever had it before: without the header they would leave sums open
      // unseen.
      if (i === 0) offload = virtioHeader ? setOffload(fd, options) : setNoOffload(fd);
    }
    lengthenQueues(options.name);
    if (options.persistent) system.ioctl(queues[0], tunSetPersist, 1);
  } catch (error) {
    for (const fd of queues) system.close(fd);
    throw error;
  }
  return {
    queues,
    virtioHeader,
    tcpSegmentation: (offload & Offload.tso6) !== 0,
    udpSegmentation: (offload & Offload.uso6) !== 0,
  };
}

/**
 * Always one of many queues: a persistent TUN stays of the kind it was made, however many workers come after. The header
 * is only left out when forced; why a refusal means a TUN of another kind: decision 121.
 */
function openQueue(name: string, virtioHeader: boolean): number {
  const fd = system.open('/dev/net/tun', openReadWriteNonBlocking, 0);
  if (fd < 0) throw openError(errno());
  const request = new StructMemory(40);
  request.bytes.set(new TextEncoder().encode(name).subarray(0, 15));
  const flags = Flag.tun | Flag.noPacketInfo | (virtioHeader ? Flag.virtioHeader : 0) | Flag.multiQueue;
  request.view.setUint16(16, flags, true);
  if (system.ioctl(fd, tunSetInterface, request.address) !== 0) {
    const code = errno();
    system.close(fd);
    throw interfaceError(name, code);
  }
  return fd;
}

/** SIOCSIFTXQLEN, netdevice(7). Where it is refused, the kernel's default stays: more loss under load, nothing worse. */
function lengthenQueues(name: string): void {
  const fd = system.socket(2, 0x80002, 0);
  if (fd < 0) return;
  const request = new StructMemory(40);
  request.bytes.set(new TextEncoder().encode(name).subarray(0, 15));
  request.setInt(16, queueLength);
  system.ioctl(fd, setQueueLength, request.address);
  system.close(fd);
}

/** Asks for all, then for less, as older kernels refuse what they do not know; what was granted. */
function setOffload(fd: number, options: TunOptions): number {
  const sums = Offload.checksum;
  const tso = options.noTso ? 0 : Offload.tso4 | Offload.tso6 | Offload.ecn;
  const uso = options.noUso ? 0 : Offload.uso4 | Offload.uso6;
  for (const wanted of [sums | tso | uso, sums | tso, sums]) {
    if (system.ioctl(fd, tunSetOffload, wanted) === 0) return wanted;
  }
  return 0;
}

function setNoOffload(fd: number): number {
  system.ioctl(fd, tunSetOffload, 0);
  return 0;
}

function openError(code: number): MeshError {
  if (code === Errno.noEntry || code === Errno.noDevice) {
    return new MeshError(
      'no-tun-device',
      'this machine has no /dev/net/tun',
      'load the module with "modprobe tun", or give the container the device',
    );
  }
  if (code === Errno.access || code === Errno.permission) return notPermitted();
  return new MeshError('tun-failed', `/dev/net/tun cannot be opened (errno ${code})`, 'see the kernel log');
}

function interfaceError(name: string, code: number): MeshError {
  if (code === Errno.permission || code === Errno.access) return notPermitted();
  if (code === Errno.busy) {
    return new MeshError('tun-busy', `the interface ${name} is in use by another program`, 'stop it, or set tun.name');
  }
  if (code === Errno.invalid) {
    return new MeshError(
      'tun-mismatch',
      `the interface ${name} exists and is of another kind`,
      `remove it with "ip link delete ${name}", or set tun.name`,
    );
  }
  return new MeshError('tun-failed', `the interface ${name} cannot be made (errno ${code})`, 'see the kernel log');
}

function notPermitted(): MeshError {
  return new MeshError(
    'tun-not-permitted',
    'no permission to make a network interface',
    'run as root, or with CAP_NET_ADMIN',
  );
}

/** One queue of a TUN, in the thread that owns it. */
export class LinuxTun implements TunPort {
  readonly offload: boolean;
  readonly tcpSegmentation: boolean;
  readonly udpSegmentation: boolean;
  readonly #fd: number;
  readonly #arena: Arena;
  readonly #pieces = new StructMemory(16 * 72);

  constructor(fd: number, kind: Omit<TunQueues, 'queues'>, arena: Arena) {
    this.#fd = fd;
    this.offload = kind.virtioHeader;
    this.tcpSegmentation = kind.tcpSegmentation;
    this.udpSegmentation = kind.udpSegmentation;
    this.#arena = arena;
  }

  read(at: number, room: number): number {
    if (this.offload) {
      return Math.max(0, system.read(this.#fd, this.#arena.address(at), room));
    }
    const length = system.read(this.#fd, this.#arena.address(at + virtioHeaderLength), room - virtioHeaderLength);
    if (length <= 0) return 0;
    this.#arena.bytes.fill(0, at, at + virtioHeaderLength);
    return length + virtioHeaderLength;
  }

  write(pieces: Gather): boolean {
    const base = this.#arena.base;
    const skip = this.offload ? 0 : virtioHeaderLength;
    const { offsets, lengths, count, total } = pieces;
    if (count === 1)
      return system.write(this.#fd, this.#arena.address(offsets[0]! + skip), total - skip) === total - skip;
    const table = this.#pieces;
    for (let i = 0; i < count; i++) {
      const cut = i === 0 ? skip : 0;
      table.setPointer(16 * i, base, offsets[i]! + cut);
      table.setInt(16 * i + 8, lengths[i]! - cut);
    }
    return system.writev(this.#fd, table.address, count) === total - skip;
  }
}
