import { concatBytes, utf8 } from '../src/bytes.js';
import { foreign } from '../src/ffi.js';
import type { Millis } from '../src/time.js';

/** Tells the service manager how we are (sd_notify(3)); nothing happens where there is none. */
export interface ServiceManager {
  /** Such as "READY=1", "STATUS=...", "STOPPING=1". Best effort: a lost message changes nothing for the node. */
  notify(text: string): void;
  /** How often WATCHDOG=1 is wanted at most; undefined: not at all. */
  readonly watchdog: Millis | undefined;
}

const afUnix = 1;
const sockDgramCloexec = 2 | 0o2000000;
const msgNosignal = 0x4000;

/** From NOTIFY_SOCKET, WATCHDOG_USEC and WATCHDOG_PID. Node has no Unix datagrams, so the socket is libc's. */
export function serviceManager(env: NodeJS.ProcessEnv, pid: number): ServiceManager {
  const path = env.NOTIFY_SOCKET;
  if (!path || !/^[/@]/.test(path)) return { notify: () => {}, watchdog: undefined };
  // A leading @ stands for the zero octet of an abstract socket.
  const name = path.startsWith('@') ? concatBytes(Uint8Array.of(0), utf8(path.slice(1))) : utf8(path);
  const address = Buffer.from(concatBytes(Uint8Array.of(afUnix, 0), name));
  const socket = foreign('int socket(int domain, int type, int protocol)')(afUnix, sockDgramCloexec, 0) as number;
  const sendto = foreign(
    'intptr_t sendto(int fd, const uint8_t *bytes, size_t length, int flags, const uint8_t *to, uint32_t toLength)',
  );
  const microseconds = Number(env.WATCHDOG_USEC ?? 0);
  const forUs = env.WATCHDOG_PID === undefined || Number(env.WATCHDOG_PID) === pid;
  return {
    notify(text) {
      const bytes = Buffer.from(text);
      sendto(socket, bytes, bytes.length, msgNosignal, address, address.length);
    },
    // Twice as often as asked, as sd_watchdog_enabled(3) advises.
    watchdog: microseconds > 0 && forUs ? microseconds / 1000 / 2 : undefined,
  };
}
