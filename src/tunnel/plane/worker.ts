import { parentPort, receiveMessageOnPort } from 'node:worker_threads';
import { addressOf } from '../../ffi.js';
import { systemRandom } from '../../random.js';
import type { Millis } from '../../time.js';
import { Guard } from '../guard.js';
import { NodeAead } from './aead.js';
import { Arena } from './arena.js';
import type { PlaneEvent } from './contract.js';
import { DataPlane, Waiting } from './data-plane.js';
import { Drops } from './drops.js';
import { BootClock, WakeUpSign } from './linux-clock.js';
import { EvpAead } from './linux-evp.js';
import { goAhead } from './linux-priority.js';
import { Rehearsal } from './linux-rehearsal.js';
import { StructMemory, system } from './linux-system.js';
import { LinuxTun } from './linux-tun.js';
import { LinuxUdp } from './linux-udp.js';
import { WarmUp } from './linux-warm-up.js';
import { Moment } from './moment.js';
import type { ProbeReport } from './prober.js';
import { RelayMeter } from './relay-meter.js';
import { Segmentation } from './segmentation.js';
import { SentHeads } from './sent-heads.js';
import { SleepWatch } from './sleep-watch.js';
import { Signal, type WorkerData, type WorkerMessage, type WorkerOrder } from './worker-data.js';

/**
 * One worker thread of the plane: told what to work with, it blocks in poll on TUN, UDP and its eventfd until it is to
 * stop.
 */

const readable = 1;
/** Readable, or in trouble: POLLIN, POLLERR, POLLHUP, POLLNVAL. The read then says which. */
const anyNews = 0x39;
/** poll passes over negative descriptors. */
const notPolled = -1;
const longestSleep: Millis = 60_000;
/** What comes after such a rest is taken for a lone packet. Programs that pace a stream send every millisecond. */
const loneAfter: Millis = 0.5;

function post(message: WorkerMessage): void {
  parentPort!.postMessage(message);
}

function run(data: WorkerData): void {
  const arena = new Arena(addressOf);
  const evp = data.noEvp ? undefined : EvpAead.tryOpen(arena);
  const random = systemRandom();
  const bootClock = new BootClock(data.clock);
  const segmentation = new Segmentation(data.udp.segmentation, () => bootClock.now(), data.udp.refused);
  const emit = (event: PlaneEvent) => post({ kind: 'event', event });
  const parts = {
    worker: data.worker,
    workers: data.workers,
    arena,
    tun: new LinuxTun(data.tun.fd, data.tun, arena),
    udp: new LinuxUdp(data.udp.fd, data.udp, arena, segmentation),
    ...(data.udp.handshakes === undefined
      ? {}
      : { handshakes: new LinuxUdp(data.udp.handshakes, data.udp, arena, segmentation) }),
    aead: evp ?? new NodeAead(arena),
    random,
    guard: (publicKey: Uint8Array) => new Guard({ publicKey, cookieSecret: data.cookieSecret, random }),
    drops: new Drops(data.drops),
    heads: new SentHeads(data.heads),
    meter: new RelayMeter(data.relayed, data.worker),
    toFirst: (report: ProbeReport) => post({ kind: 'probe', report }),
    emit,
  };
  const plane = new DataPlane(parts);
  const signals = new Int32Array(data.signals);
  const polled = new StructMemory(40);
  const wakeUpSign = data.wakeUpFd === undefined ? undefined : new WakeUpSign(data.wakeUpFd);
  wakeUpSign?.arm();
  const handshakes = data.udp.handshakes ?? notPolled;
  [data.tun.fd, data.udp.fd, data.eventFd, handshakes, wakeUpSign?.fd ?? notPolled].forEach((fd, i) => {
    polled.setInt(8 * i, fd);
    polled.view.setUint16(8 * i + 4, readable, true);
  });
  const woken = new StructMemory(8);
  post({ kind: 'ready', evp: evp !== undefined, priority: goAhead() });
  const now = new Moment();
  bootClock.tell(now);
  const sleepWatch = data.worker === 0 ? new SleepWatch(now.millis, bootClock.asleep()) : undefined;
  let warmUp: WarmUp | undefined;
  let waiting: number = Waiting.anywhere;
  let isLone = false;
  const worked = new Moment();
  const isReadable = (i: number) => (polled.view.getUint16(8 * i + 6, true) & anyNews) !== 0;
  const takeOrders = () => {
    for (let next = receiveMessageOnPort(data.orders); next; next = receiveMessageOnPort(data.orders)) {
      const order = next.message as WorkerOrder;
      if ('report' in order) plane.probeReported(order.report);
      else plane.apply(order, now);
      if (!warmUp && !data.noWarmUp && 'command' in order && order.command.kind === 'installSession') {
        const rehearsal = Rehearsal.open(data, arena, parts.aead, order.command.session.cipher, now);
        if (rehearsal) warmUp = new WarmUp(rehearsal, now);
      }
    }
  };
  // A function of its own: of a loop that is compiled while it runs, V8 may make a heap number of each fraction that a round keeps.
  const turn = () => {
    if (Atomics.exchange(signals, Signal.orders, 0) !== 0) takeOrders();
    if (waiting !== 0) {
      if (plane.work(now, waiting, isLone) > 0) {
        worked.millis = now.millis;
        warmUp?.worked(now, isLone && plane.carried);
      }
      if (isLone) plane.prime();
    }
    if (sleepWatch?.isDue(now)) {
      const after = sleepWatch.look(now.millis, bootClock.asleep());
      if (after !== undefined) emit({ kind: 'wokeUp', after });
    }
    bootClock.tell(now);
    if (plane.wait(now, longestSleep) === 0) plane.tick(now);
    if (warmUp?.wait(now, longestSleep) === 0) warmUp.run(bootClock, now);
    const sleep = plane.wait(now, warmUp?.wait(now, longestSleep) ?? longestSleep);
    polled.setInt(24, plane.restsFromHandshakes ? notPolled : handshakes);
    sleepWatch?.waits(now, sleep);
    system.poll(polled.address, 5, sleep);
    waiting = 0;
    const tunNews = polled.view.getUint16(6, true);
    if ((tunNews & readable) !== 0) waiting |= Waiting.tun;
    else if (tunNews !== 0) {
      // In trouble it has lost its device; one that is only set down is not. The goodbyes are still to be sent.
      polled.setInt(0, notPolled);
      emit({ kind: 'tunGone' });
    }
    if (isReadable(1)) waiting |= Waiting.udp;
    if (isReadable(3)) waiting |= Waiting.handshakes;
    if (isReadable(2)) system.read(data.eventFd, woken.address, 8);
    if (isReadable(4)) wakeUpSign!.arm();
    bootClock.tell(now);
    isLone = now.millis - worked.millis >= loneAfter;
  };
  try {
    while (Atomics.load(signals, Signal.stop) === 0) turn();
    // The goodbyes were ordered just before the stop, and most likely found the thread asleep.
    takeOrders();
  } finally {
    // Also when it fails: the process may go on for a while.
    plane.wipe();
    warmUp?.close();
  }
}

// The thread waits here until there is a plane for it, or it hears that there will be none.
parentPort!.once('message', (data: WorkerData | undefined) => {
  if (!data) return;
  try {
    run(data);
  } catch (error) {
    post({
      kind: 'event',
      event: { kind: 'failed', reason: error instanceof Error ? (error.stack ?? error.message) : String(error) },
    });
  }
});
