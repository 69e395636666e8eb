import { receiveMessageOnPort } from 'node:worker_threads';
import { addressOf } from '../../ffi.js';
import { systemRandom } from '../../random.js';
import { type Millis, never } from '../../time.js';
import { Guard } from '../guard.js';
import { type Aead, NodeAead } from './aead.js';
import { Arena } from './arena.js';
import type { PlaneEvent } from './contract.js';
import { DataPlane, Waiting } from './data-plane.js';
import { Drops } from './drops.js';
import { BootClock, WakeUpSign } from './linux-clock.js';
import { EvpAead } from './linux-evp.js';
import { StructMemory, system } from './linux-system.js';
import { LinuxTun } from './linux-tun.js';
import { LinuxUdp } from './linux-udp.js';
import { WarmUp } from './linux-warm-up.js';
import type { ProbeReport } from './prober.js';
import { RelayMeter } from './relay-meter.js';
import { SentHeads } from './sent-heads.js';
import { SleepWatch } from './sleep-watch.js';
import { Signal, type WorkerData, type WorkerMessage, type WorkerOrder } from './worker-data.js';

const readable = 1;
/** Readable, or in trouble: POLLIN, POLLERR, POLLHUP, POLLNVAL. The read then says which. */
const anyNews = 0x39;
/** poll passes over negative descriptors. */
const notPolled = -1;
const longestSleep: Millis = 60_000;

/** struct pollfd: descriptor, what is waited for, what there is; 8 octets. In this order: */
const Polled = { tun: 0, udp: 1, orders: 2, handshakes: 3, wakeUp: 4 } as const;
const pollLength = 8;
const polledCount = 5;

/**
 * What a worker thread does over and over: moves packets, keeps its plane's deadlines, and blocks in poll on TUN, UDP
 * and its eventfd.
 *
 * One turn is one call, not one pass of a loop: V8 compiles what is called often, while the one loop of a thread at rest
 * would stay in the interpreter (docs/decisions/130).
 */
export class WorkerLoop {
  /** Whether OpenSSL's own functions are there. */
  readonly evp: boolean;
  readonly #data: WorkerData;
  readonly #post: (message: WorkerMessage) => void;
  readonly #arena = new Arena(addressOf);
  readonly #aead: Aead;
  readonly #plane: DataPlane;
  readonly #signals: Int32Array;
  readonly #polled = new StructMemory(polledCount * pollLength);
  readonly #woken = new StructMemory(8);
  readonly #handshakes: number;
  readonly #wakeUpSign: WakeUpSign | undefined;
  readonly #bootClock: BootClock;
  readonly #clock = () => this.#bootClock.now();
  readonly #sleepWatch: SleepWatch | undefined;
  #warmUp: WarmUp | undefined;
  #now: Millis;
  #waiting: number = Waiting.anywhere;

  constructor(data: WorkerData, post: (message: WorkerMessage) => void) {
    this.#data = data;
    this.#post = post;
    const arena = this.#arena;
    const evp = data.noEvp ? undefined : EvpAead.tryOpen(arena);
    this.evp = evp !== undefined;
    this.#aead = evp ?? new NodeAead(arena);
    const random = systemRandom();
    const { fd, handshakes } = data.udp;
    this.#plane = new DataPlane({
      worker: data.worker,
      workers: data.workers,
      arena,
      tun: new LinuxTun(data.tun.fd, data.tun, arena),
      udp: new LinuxUdp(fd, data.udp, arena),
      ...(handshakes === undefined ? {} : { handshakes: new LinuxUdp(handshakes, data.udp, arena) }),
      aead: this.#aead,
      random,
      guard: (publicKey: Uint8Array) => new Guard({ publicKey, cookieSecret: data.cookieSecret, random }),
      drops: new Drops(data.drops),
      heads: new SentHeads(data.heads),
      meter: new RelayMeter(data.relayed, data.worker),
      toFirst: (report: ProbeReport) => post({ kind: 'probe', report }),
      emit: (event: PlaneEvent) => post({ kind: 'event', event }),
    });
    this.#signals = new Int32Array(data.signals);
    this.#wakeUpSign = data.wakeUpFd === undefined ? undefined : new WakeUpSign(data.wakeUpFd);
    this.#wakeUpSign?.arm();
    this.#handshakes = handshakes ?? notPolled;
    [data.tun.fd, fd, data.eventFd, this.#handshakes, this.#wakeUpSign?.fd ?? notPolled].forEach((polled, i) => {
      this.#polled.setInt(pollLength * i, polled);
      this.#polled.view.setUint16(pollLength * i + 4, readable, true);
    });
    this.#bootClock = new BootClock(data.clock);
    this.#now = this.#clock();
    if (data.worker === 0) this.#sleepWatch = new SleepWatch(this.#now, this.#bootClock.asleep());
  }

  get isToStop(): boolean {
    return Atomics.load(this.#signals, Signal.stop) !== 0;
  }

  /** Does what there is to do, then waits until there is more. */
  turn(): void {
    const plane = this.#plane;
    if (Atomics.exchange(this.#signals, Signal.orders, 0) !== 0) this.#takeOrders();
    if (this.#sleepWatch && this.#now >= this.#sleepWatch.dueAt) this.#lookForSleep(this.#sleepWatch);
    if (this.#waiting !== 0 && plane.work(this.#now, this.#waiting) > 0) this.#warmUp?.yield(this.#now);
    this.#now = this.#clock();
    if (this.#now >= plane.deadline()) plane.tick(this.#now);
    if (this.#warmUp && this.#now >= this.#warmUp.deadline) {
      this.#warmUp.run(this.#clock);
      this.#now = this.#clock();
    }
    this.#wait();
  }

  /** Wipes every key. */
  close(): void {
    this.#warmUp?.close();
    this.#plane.wipe();
  }

  #takeOrders(): void {
    const { orders } = this.#data;
    for (let next = receiveMessageOnPort(orders); next; next = receiveMessageOnPort(orders)) {
      const order = next.message as WorkerOrder;
      if ('report' in order) this.#plane.probeReported(order.report);
      else this.#plane.apply(order, this.#now);
      if (!this.#warmUp && 'command' in order && order.command.kind === 'installSession') {
        const { cipher } = order.command.session;
        this.#warmUp = WarmUp.open(this.#data, this.#arena, this.#aead, cipher, this.#now);
      }
    }
  }

  #lookForSleep(watch: SleepWatch): void {
    const after = watch.look(this.#now, this.#bootClock.asleep());
    if (after !== undefined) this.#post({ kind: 'event', event: { kind: 'wokeUp', after } });
  }

  #wait(): void {
    const due = Math.min(this.#plane.deadline(), this.#warmUp?.deadline ?? never);
    const sleep = Math.max(0, Math.min(longestSleep, Math.ceil(due - this.#now)));
    const handshakes = this.#plane.restsFromHandshakes ? notPolled : this.#handshakes;
    this.#polled.setInt(pollLength * Polled.handshakes, handshakes);
    this.#sleepWatch?.waitsUntil(this.#now + sleep);
    system.poll(this.#polled.address, polledCount, sleep);
    let waiting = 0;
    if (this.#isReadable(Polled.tun)) waiting |= Waiting.tun;
    if (this.#isReadable(Polled.udp)) waiting |= Waiting.udp;
    if (this.#isReadable(Polled.handshakes)) waiting |= Waiting.handshakes;
    if (this.#isReadable(Polled.orders)) system.read(this.#data.eventFd, this.#woken.address, 8);
    if (this.#isReadable(Polled.wakeUp)) this.#wakeUpSign!.arm();
    this.#waiting = waiting;
    this.#now = this.#clock();
  }

  #isReadable(i: number): boolean {
    return (this.#polled.view.getUint16(pollLength * i + 6, true) & anyNews) !== 0;
  }
}
