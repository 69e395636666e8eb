import { addressOf, errno, foreign } from '../../ffi.js';

/**
 * The system calls of the plane. Addresses go as numbers. Variadic ones are called with whole words, as the ABIs allow.
 */
export const system = {
  open: foreign('int open(const char *path, int flags, int mode)'),
  close: foreign('int close(int fd)'),
  read: foreign('int64_t read(int fd, uint64_t to, uint64_t count)'),
  write: foreign('int64_t write(int fd, uint64_t from, uint64_t count)'),
  writev: foreign('int64_t writev(int fd, uint64_t pieces, int count)'),
  ioctl: foreign('int ioctl(int fd, uint64_t request, uint64_t argument)'),
  socket: foreign('int socket(int family, int type, int protocol)'),
  bind: foreign('int bind(int fd, uint64_t address, uint32_t length)'),
  connect: foreign('int connect(int fd, uint64_t address, uint32_t length)'),
  getsockname: foreign('int getsockname(int fd, uint64_t address, uint64_t length)'),
  setsockopt: foreign('int setsockopt(int fd, int level, int option, uint64_t value, uint32_t length)'),
  sendmsg: foreign('int64_t sendmsg(int fd, uint64_t message, int flags)'),
  recvmsg: foreign('int64_t recvmsg(int fd, uint64_t message, int flags)'),
  poll: foreign('int poll(uint64_t descriptors, uint64_t count, int timeout)'),
  eventfd: foreign('int eventfd(uint32_t initial, int flags)'),
  socketpair: foreign('int socketpair(int family, int type, int protocol, uint64_t pair)'),
  clockGettime: foreign('int clock_gettime(int clock, uint64_t to)'),
  timerfdCreate: foreign('int timerfd_create(int clock, int flags)'),
  timerfdSettime: foreign('int timerfd_settime(int fd, int flags, uint64_t value, uint64_t old)'),
} as const;

export const Errno = {
  again: 11,
  noBuffers: 105,
  inputOutput: 5,
  access: 13,
  busy: 16,
  invalid: 22,
  noEntry: 2,
  permission: 1,
  noDevice: 19,
  inUse: 98,
  messageSize: 90,
} as const;

export { errno };

/** A little memory with an address, for structs. Little-endian machines only: x86-64 and arm64. */
export class StructMemory {
  readonly bytes: Uint8Array;
  readonly view: DataView;
  readonly address: number;

  constructor(length: number) {
    this.bytes = new Uint8Array(length);
    this.view = new DataView(this.bytes.buffer);
    this.address = addressOf(this.bytes);
  }

  /** Writes a pointer, without making a bigint, nor a heap number of the sum: `offset` octets behind `base`. */
  setPointer(at: number, base: number, offset = 0): void {
    const address = base + offset;
    this.view.setUint32(at, address >>> 0, true);
    this.view.setUint32(at + 4, Math.floor(address / 2 ** 32), true);
  }

  setInt(at: number, value: number): void {
    this.view.setInt32(at, value, true);
  }
}

/** Sets an int option; true when the kernel took it. */
export function setOption(fd: number, level: number, option: number, value: number): boolean {
  const memory = new StructMemory(4);
  memory.setInt(0, value);
  return system.setsockopt(fd, level, option, memory.address, 4) === 0;
}
