/**
 * The process behind `Forwarder`. It blocks in ppoll and never returns to the event loop, so that a frame leaves within
 * tens of microseconds of its time. Standard input: a `ForwarderPlan`, then `DelayOrder`s; its end is our end.
 */
import { openSync, readSync, writeSync } from 'node:fs';
import { errno, foreign } from '../src/ffi.js';
import { type Random, seededRandom } from '../src/random.js';
import type { DelayOrder, Delays, ForwarderPlan, TapPlace } from './forwarder.js';
import { Namespace } from './namespace.js';

const ioctl = foreign('int ioctl(int fd, unsigned long request, void *argument)');
const read = foreign('long read(int fd, void *buffer, size_t length)');
const write = foreign('long write(int fd, const void *buffer, size_t length)');
const ppoll = foreign('int ppoll(void *fds, unsigned long count, const void *timeout, const void *mask)');

// Linux UAPI: if_tun.h, fcntl.h, poll.h.
const tunSetIff = 0x400454ca;
const iffTap = 0x0002;
const iffNoPi = 0x1000;
const readWriteNonBlocking = 0o2 | 0o4000;
const pollIn = 1;

/** A frame of a 9000-octet wire and its Ethernet header, with room. */
const slotOctets = 9216;
/** Frames one direction may hold: at 100 Mbit/s and 1 s that is all there are. A full queue drops, as a router does. */
const queueFrames = 10_000;
/** Frames read from one device before the others get their turn. */
const burst = 64;

interface Frame {
  readonly octets: Buffer;
  length: number;
  due: number;
}

/** One direction of one wire: a queue in order of time. */
class Line {
  readonly #from: number;
  readonly #to: number;
  readonly #random: Random;
  #delays: Delays = { delay: 0, jitter: 0, reorder: 0 };
  #queue: Frame[] = [];
  #head = 0;
  #spare: Frame[] = [];

  constructor(from: number, to: number, random: Random) {
    this.#from = from;
    this.#to = to;
    this.#random = random;
  }

  set(delays: Delays): void {
    this.#delays = delays;
  }

  /** Takes in what the device has. */
  receive(now: number): void {
    const { delay, jitter, reorder } = this.#delays;
    for (let i = 0; i < burst; i++) {
      const frame = this.#spare.pop() ?? { octets: Buffer.allocUnsafeSlow(slotOctets), length: 0, due: 0 };
      frame.length = read(this.#from, frame.octets, slotOctets) as number;
      const overtakes = reorder > 0 && this.#random.unit() < reorder;
      if (frame.length <= 0 || overtakes || this.#queue.length - this.#head >= queueFrames) {
        if (frame.length > 0 && overtakes) this.#send(frame);
        this.#spare.push(frame);
        if (frame.length <= 0) return;
        continue;
      }
      const last = this.#queue.length > this.#head ? this.#queue[this.#queue.length - 1]!.due : 0;
      frame.due = Math.max(last, now + delay + (jitter > 0 ? jitter * this.#random.unit() : 0));
      this.#queue.push(frame);
    }
  }

  /** Sends what is due; gives the time of the next frame. */
  release(now: number): number {
    for (;;) {
      const frame = this.#queue[this.#head];
      if (!frame) break;
      if (frame.due > now) {
        // The part already sent goes when it is the larger one: each frame is moved once on average.
        if (this.#head > 256 && this.#head * 2 > this.#queue.length) {
          this.#queue.splice(0, this.#head);
          this.#head = 0;
        }
        return frame.due;
      }
      this.#send(frame);
      this.#spare.push(frame);
      this.#head++;
    }
    this.#queue.length = 0;
    this.#head = 0;
    return Number.POSITIVE_INFINITY;
  }

  /** A device that takes nothing (down, or its queue full) loses the frame. */
  #send(frame: Frame): void {
    write(this.#to, frame.octets, frame.length);
  }
}

function openTap({ namespace, device }: TapPlace): number {
  return new Namespace(namespace).inside(() => {
    const fd = openSync('/dev/net/tun', readWriteNonBlocking);
    const request = Buffer.alloc(40);
    request.write(device, 'latin1');
    request.writeUInt16LE(iffTap | iffNoPi, 16);
    if (ioctl(fd, tunSetIff, request) !== 0) throw new Error(`cannot make ${device} in ${namespace}: errno ${errno()}`);
    return fd;
  });
}

const input = Buffer.alloc(65536);
let pending = '';

/** Whole lines that standard input has; undefined at its end. */
function orders(): string[] | undefined {
  let length: number;
  try {
    length = readSync(0, input);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EAGAIN') return [];
    throw error;
  }
  if (length === 0) return undefined;
  const lines = (pending + input.toString('utf8', 0, length)).split('\n');
  pending = lines.pop()!;
  return lines;
}

function run(plan: ForwarderPlan, first: readonly string[]): void {
  const random = seededRandom(plan.seed);
  const wires = plan.wires.map(({ near, far }) => {
    const nearFd = openTap(near);
    const farFd = openTap(far);
    return {
      fds: [nearFd, farFd],
      outwards: new Line(nearFd, farFd, seededRandom(random.below(2 ** 32))),
      inwards: new Line(farFd, nearFd, seededRandom(random.below(2 ** 32))),
    };
  });
  const obey = (line: string) => {
    const order = JSON.parse(line) as DelayOrder;
    const wire = wires[order.wire]!;
    wire.outwards.set(order.outwards);
    wire.inwards.set(order.inwards);
  };
  first.forEach(obey);
  writeSync(1, 'ready\n');

  const lines = wires.flatMap((wire) => [wire.outwards, wire.inwards]);
  const fds = [...wires.flatMap((wire) => wire.fds), 0];
  const polled = Buffer.alloc(fds.length * 8); // struct pollfd { int fd; short events; short revents; }
  fds.forEach((fd, i) => {
    polled.writeInt32LE(fd, i * 8);
    polled.writeInt16LE(pollIn, i * 8 + 4);
  });
  const timeout = Buffer.alloc(16); // struct timespec { long seconds; long nanoseconds; }
  for (;;) {
    let next = Number.POSITIVE_INFINITY;
    const started = performance.now();
    for (const line of lines) next = Math.min(next, line.release(started));
    const wait = Math.max(0, Math.min(next - performance.now(), 3_600_000));
    timeout.writeBigInt64LE(BigInt(Math.floor(wait / 1000)), 0);
    timeout.writeBigInt64LE(BigInt(Math.floor((wait % 1000) * 1e6)), 8);
    if ((ppoll(polled, fds.length, timeout, null) as number) <= 0) continue;
    const now = performance.now();
    lines.forEach((line, i) => {
      if (polled.readInt16LE(i * 8 + 6) !== 0) line.receive(now);
    });
    if (polled.readInt16LE(lines.length * 8 + 6) !== 0) {
      const list = orders();
      if (!list) return;
      list.forEach(obey);
    }
  }
}

let lines: string[] = [];
while (lines.length === 0) {
  const list = orders();
  if (!list) process.exit(1);
  lines = list;
}
run(JSON.parse(lines[0]!) as ForwarderPlan, lines.slice(1));
