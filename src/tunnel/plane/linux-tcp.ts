import { setOption, system } from './linux-system.js';

const families = { 4: 2, 6: 10 } as const;
/** SOCK_STREAM, SOCK_CLOEXEC and SOCK_NONBLOCK. */
const stream = 1 | 0x80000 | 0x800;
const socketLevel = 1;
const markOption = 36;

/** A TCP socket that is not connected, the caller's to close; undefined where there is none to be had. */
export function openStream(family: 4 | 6): number | undefined {
  const fd = system.socket(families[family], stream, 0);
  return fd < 0 ? undefined : fd;
}

/** False where the kernel does not let us: that takes CAP_NET_ADMIN, or CAP_NET_RAW. */
export function setMark(fd: number, mark: number): boolean {
  return setOption(fd, socketLevel, markOption, mark);
}
