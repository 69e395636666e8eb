import { systemRandom } from '../../random.js';
import type { Millis } from '../../time.js';
import type { LinkCounters, LinkId, Plane, PlaneCommand, PlaneEvent } from './contract.js';
import { Dispatch } from './dispatch.js';
import { Drops } from './drops.js';
import { KeysUnderWay, wipeKeys } from './keys-under-way.js';
import { BootClock, WakeUpSign } from './linux-clock.js';
import { system } from './linux-system.js';
import { PlaneThread, type Ready } from './linux-thread.js';
import { PlaneThreads, usualWorkers } from './linux-threads.js';
import { openTun } from './linux-tun.js';
import { openUdp } from './linux-udp.js';
import { RelayMeter } from './relay-meter.js';
import { Segmentation } from './segmentation.js';
import { SentHeads } from './sent-heads.js';
import type { WorkerData } from './worker-data.js';

/**
 * Marks the outer packets, so that they skip the overlay's routing table (docs/OPERATIONS.md, What it does to the
 * host). "weft" in ASCII.
 */
export const defaultMark = 0x7765_6674;

/** Fallbacks, each forceable, each of the same behaviour (issue: The plane). */
export interface PlaneForce {
  readonly noUso?: boolean;
  readonly noTso?: boolean;
  readonly noUdpGso?: boolean;
  /** The kernel spreads datagrams by hash: any worker may get any frame, and handshakes wait among packets. */
  readonly noSteering?: boolean;
  readonly noVnetHeader?: boolean;
  readonly noEvp?: boolean;
  /** Seen by who measures ciphers: ChaCha20-Poly1305 is then the faster here. */
  readonly noAes?: boolean;
  /** What packets run through is not rehearsed, neither at first nor between them. */
  readonly noWarmUp?: boolean;
}

export interface LinuxPlaneOptions {
  readonly tunName: string;
  /** 0: any free one; `capabilities().port` tells. */
  readonly port: number;
  /** The address of this machine to listen at. Default: all. */
  readonly address?: string;
  /** Also take and send IPv6 in the underlay. */
  readonly ipv6?: boolean;
  /** Default: 2, or 1 where that would leave no core to others. */
  readonly workers?: number;
  readonly mark?: number;
  /** The clock of its events. Default: one of its own. */
  readonly clock?: BootClock;
  /** The TUN outlives this process: apps see loss, not errors, while the daemon restarts. */
  readonly persistent?: boolean;
  readonly force?: PlaneForce;
  /** Where its threads come from. Default: they are started now. */
  readonly threads?: Pick<PlaneThreads, 'take'>;
}

/** What this machine gave us, for `status`. */
export interface PlaneCapabilities {
  readonly workers: number;
  readonly port: number;
  readonly virtioHeader: boolean;
  readonly tcpSegmentation: boolean;
  readonly udpSegmentation: boolean;
  /** As of now: a destination that our kernel cuts nothing for makes it false for a minute. */
  readonly udpGso: boolean;
  readonly udpGro: boolean;
  readonly steering: boolean;
  readonly evp: boolean;
  /** The workers go before programs. */
  readonly priority: boolean;
}

export interface LinuxPlane extends Plane {
  /** As they are now: ask again rather than keep them. */
  capabilities(): PlaneCapabilities;
  /** For tests of whole daemons: what the plane sees when the machine has slept for so long. */
  pretendSleep(millis: Millis): void;
}

/**
 * Opens TUN queues and sockets, starts the workers, and resolves when all of them run. Rejects with a MeshError where the
 * port is taken, or a TUN is missing or not permitted; nothing stays open then.
 */
export async function openLinuxPlane(options: LinuxPlaneOptions): Promise<LinuxPlane> {
  const force = options.force ?? {};
  const workers = options.workers ?? usualWorkers();
  const tun = openTun({
    name: options.tunName,
    queues: workers,
    persistent: options.persistent ?? false,
    noVnetHeader: force.noVnetHeader ?? false,
    noTso: force.noTso ?? false,
    noUso: force.noUso ?? false,
  });
  const close = (fds: readonly number[]) => {
    for (const fd of fds) system.close(fd);
  };
  let udp: ReturnType<typeof openUdp>;
  try {
    udp = openUdp({
      port: options.port,
      address: options.address ?? '0.0.0.0',
      sockets: workers,
      mark: options.mark ?? defaultMark,
      ipv6: options.ipv6 ?? false,
      noUdpGso: force.noUdpGso ?? false,
      noSteering: force.noSteering ?? false,
    });
  } catch (error) {
    close(tun.queues);
    throw error;
  }
  const clock = options.clock ?? new BootClock();
  const wakeUpSign = new WakeUpSign();
  const cookieSecret = systemRandom().bytes(32);
  const heads = new SharedArrayBuffer(SentHeads.byteLength);
  const waiting = (options.threads ?? new PlaneThreads()).take(workers);
  const relayed = new SharedArrayBuffer(RelayMeter.byteLength(workers));
  const refused = new SharedArrayBuffer(Segmentation.byteLength);
  const segmentation = new Segmentation(udp.segmentation, () => clock.now(), refused);
  const threads = tun.queues.map((tunFd, worker) => {
    const data: Omit<WorkerData, 'orders' | 'eventFd' | 'signals' | 'drops'> = {
      worker,
      workers,
      tun: { ...tun, fd: tunFd },
      udp: { ...udp, refused, fd: udp.sockets[worker]!, handshakes: worker === 0 ? udp.handshakes : undefined },
      wakeUpFd: worker === 0 ? wakeUpSign.fd : undefined,
      clock: clock.shared,
      noEvp: force.noEvp ?? false,
      noWarmUp: force.noWarmUp ?? false,
      cookieSecret,
      heads,
      relayed,
    };
    return new PlaneThread(waiting[worker]!, data);
  });
  const plane = new ThreadedPlane(threads, new RelayMeter(relayed, 0), clock, () => {
    close([...tun.queues, ...udp.sockets, ...(udp.handshakes === undefined ? [] : [udp.handshakes])]);
    wakeUpSign.close();
  });
  let ready: Ready[];
  try {
    ready = await Promise.all(threads.map((thread) => thread.ready));
  } catch (error) {
    await plane.stop();
    throw error;
  }
  const capabilities = (): PlaneCapabilities => ({
    workers,
    port: udp.port,
    virtioHeader: tun.virtioHeader,
    tcpSegmentation: tun.tcpSegmentation,
    udpSegmentation: tun.udpSegmentation,
    udpGso: udp.segmentation && !segmentation.isRefused,
    udpGro: udp.receiveOffload,
    steering: udp.handshakes !== undefined,
    evp: ready.every(({ evp }) => evp),
    priority: ready.every(({ priority }) => priority),
  });
  const pretendSleep = (millis: Millis) => {
    clock.skip(millis);
    wakeUpSign.give();
  };
  return Object.assign(plane, { capabilities, pretendSleep });
}

/** The plane of worker threads: events come from any. */
class ThreadedPlane implements Plane {
  readonly #threads: readonly PlaneThread[];
  readonly #meter: RelayMeter;
  readonly #clock: BootClock;
  readonly #close: () => void;
  readonly #dispatch: Dispatch;
  readonly #keys = new KeysUnderWay();
  #listener: (event: PlaneEvent, now: Millis) => void = () => {};
  #stopped: Promise<void> | undefined;

  constructor(threads: readonly PlaneThread[], meter: RelayMeter, clock: BootClock, close: () => void) {
    this.#threads = threads;
    this.#meter = meter;
    this.#clock = clock;
    this.#close = close;
    this.#dispatch = new Dispatch(threads.length, (worker, order) => threads[worker]!.order(order));
    for (const thread of threads) {
      thread.onMessage((message) => {
        if (message.kind === 'event') this.#heard(message.event);
        else this.#threads[0]!.order({ report: message.report });
      });
    }
  }

  command(command: PlaneCommand): void {
    if (this.#stopped) {
      if (command.kind === 'installSession') wipeKeys(command.session);
      return;
    }
    this.#keys.given(command);
    this.#dispatch.command(command);
  }

  #heard(event: PlaneEvent): void {
    this.#keys.told(event);
    if (this.#stopped) return;
    this.#dispatch.heard(event);
    this.#listener(event, this.#clock.now());
    this.#dispatch.taken(event);
  }

  onEvent(listener: (event: PlaneEvent, now: Millis) => void): void {
    this.#listener = listener;
  }

  counters(link: LinkId): LinkCounters {
    return this.#dispatch.counters(link);
  }

  relayed(): number {
    return this.#meter.passed;
  }

  drops(): ReadonlyMap<string, number> {
    const sum = new Map<string, number>();
    for (const thread of this.#threads) new Drops(thread.drops).addTo(sum);
    return sum;
  }

  stop(): Promise<void> {
    this.#stopped ??= Promise.all(this.#threads.map((thread) => thread.stop())).then(() => {
      this.#keys.wipe();
      this.#close();
    });
    return this.#stopped;
  }
}
