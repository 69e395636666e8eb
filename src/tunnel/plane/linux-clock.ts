import type { Millis } from '../../time.js';
import { StructMemory, system } from './linux-system.js';
import { Moment } from './moment.js';

const clockMonotonic = 1;
const clockBoottime = 7;

/**
 * The one clock of the daemon and of its workers: monotonic milliseconds that go on while the machine is suspended. On
 * the kernel's other monotonic clock, which Node reads, a night's sleep is no time at all: keys look young, leases
 * valid and peers near when none of it is so.
 */
export class BootClock {
  /** For another thread's `BootClock` that is to be the same. */
  readonly shared: SharedArrayBuffer;
  readonly #skipped: Float64Array;
  readonly #time = new StructMemory(16);
  readonly #moment = new Moment();

  constructor(shared = new SharedArrayBuffer(8)) {
    this.shared = shared;
    this.#skipped = new Float64Array(shared);
  }

  now(): Millis {
    this.tell(this.#moment);
    return this.#moment.millis;
  }

  /** Makes it now. */
  tell(moment: Moment): void {
    this.#read(clockBoottime, moment);
    moment.millis += this.#skipped[0]!;
  }

  /** How long the machine has been suspended since it was booted. */
  asleep(): Millis {
    const now = this.now();
    this.#read(clockMonotonic, this.#moment);
    return now - this.#moment.millis;
  }

  /** For tests of whole daemons: from now on it is so much later, as after a suspend. */
  skip(millis: Millis): void {
    this.#skipped[0]! += millis;
  }

  /** struct timespec: seconds and nanoseconds, 64 bits each; the upper halves of the latter are zero. */
  #read(clock: number, into: Moment): void {
    system.clockGettime(clock, this.#time.address);
    const { view } = this.#time;
    const seconds = view.getUint32(4, true) * 2 ** 32 + view.getUint32(0, true);
    into.millis = seconds * 1000 + view.getUint32(8, true) / 1e6;
  }
}

const clockRealtime = 0;
const nonBlockingCloseOnExec = 0x80800;
const absolute = 1;
const cancelOnSet = 2;

/**
 * A descriptor that becomes readable when the machine wakes up, and when its wall clock is set: the kernel then cancels
 * timers of this kind. So a suspend is noticed at once without a wake-up more while there is none. -1 where there is no
 * such thing.
 */
export class WakeUpSign {
  readonly fd: number;
  /** struct itimerspec: interval, value. */
  readonly #spec = new StructMemory(32);

  /** `fd`: one that is open; without it a new one is opened. */
  constructor(fd: number = system.timerfdCreate(clockRealtime, nonBlockingCloseOnExec)) {
    this.fd = fd;
  }

  /** Waits for the next time; to be called again each time it was seen. */
  arm(): void {
    if (this.fd < 0) return;
    system.read(this.fd, this.#spec.address, 8);
    this.#set(2 ** 32 - 1, 0, absolute | cancelOnSet); // in 2106
  }

  /** For tests of whole daemons: gives the sign. */
  give(): void {
    this.#set(0, 1, 0);
  }

  close(): void {
    if (this.fd >= 0) system.close(this.fd);
  }

  #set(seconds: number, nanos: number, flags: number): void {
    this.#spec.bytes.fill(0);
    this.#spec.view.setUint32(16, seconds, true);
    this.#spec.view.setUint32(24, nanos, true);
    system.timerfdSettime(this.fd, flags, this.#spec.address, 0);
  }
}
