import type { Endpoint } from '../../addr/endpoint.js';
import type { Random } from '../../random.js';
import type { Millis } from '../../time.js';
import { FrameType } from '../frame.js';
import type { Aead } from './aead.js';
import { NodeAead } from './aead.js';
import { Arena } from './arena.js';
import type { LinkCounters, LinkId, Plane, PlaneCommand, PlaneEvent } from './contract.js';
import { DataPlane, type PlaneOrder } from './data-plane.js';
import { Dispatch } from './dispatch.js';
import { Drops } from './drops.js';
import type { DatagramGuard } from './guard.js';
import { KeysUnderWay } from './keys-under-way.js';
import { Moment } from './moment.js';
import type { ProbeReport } from './prober.js';
import { QueueTun, QueueUdp, withoutOffload } from './queue-ports.js';
import { RelayMeter } from './relay-meter.js';
import { SentHeads } from './sent-heads.js';
import { toEndpoint, toUnderlay } from './underlay-address.js';
import { virtioHeaderLength } from './virtio.js';

export interface InProcessPlaneOptions {
  readonly random: Random;
  /** A packet for the kernel, whole, its sums closed. The octets are the callee's. */
  readonly toKernel: (packet: Uint8Array) => void;
  /** A datagram for the underlay. `fresh`: from a new source port. The octets are the callee's. */
  readonly toUnderlay: (bytes: Uint8Array, to: Endpoint, fresh: boolean) => void;
  readonly guard?: (publicKey: Uint8Array) => DatagramGuard;
  /** Default 1. More behave as threads would, one after the other. */
  readonly workers?: number;
  /** Many planes in one process may share these: none leaves anything in the arena between two calls. */
  readonly memory?: { readonly arena: Arena; readonly aead: Aead };
}

/**
 * The product's own data plane without threads, sockets or a clock: for tests, and for whole networks in one process on a
 * virtual clock. Nothing happens until `run`: call it after commands, packets and datagrams, and at `deadline()`. Events
 * come out of `run` only.
 */
export class InProcessPlane implements Plane {
  readonly #options: InProcessPlaneOptions;
  readonly #workers: { readonly plane: DataPlane; readonly tun: QueueTun; readonly udp: QueueUdp }[] = [];
  readonly #drops = new Drops();
  readonly #meter: RelayMeter;
  readonly #dispatch: Dispatch;
  readonly #events: PlaneEvent[] = [];
  readonly #orders: { readonly worker: number; readonly order: PlaneOrder }[] = [];
  readonly #keys = new KeysUnderWay();
  #isStopped = false;
  #listener: (event: PlaneEvent, now: Millis) => void = () => {};

  constructor(options: InProcessPlaneOptions) {
    this.#options = options;
    const arena = options.memory?.arena ?? new Arena();
    const aead = options.memory?.aead ?? new NodeAead(arena);
    const workers = options.workers ?? 1;
    this.#dispatch = new Dispatch(workers, (worker, order) => this.#orders.push({ worker, order }));
    const heads = new SentHeads();
    const relayed = new SharedArrayBuffer(RelayMeter.byteLength(workers));
    this.#meter = new RelayMeter(relayed, 0);
    for (let worker = 0; worker < workers; worker++) {
      const tun = new QueueTun(arena, { offload: false, tcpSegmentation: false, udpSegmentation: false });
      const udp = new QueueUdp(arena);
      const parts = {
        worker,
        workers,
        arena,
        sharesArena: workers > 1 || options.memory !== undefined,
        tun,
        udp,
        aead,
        random: options.random,
        drops: this.#drops,
        heads,
        meter: new RelayMeter(relayed, worker),
        emit: (event: PlaneEvent) => {
          this.#events.push(event);
        },
        toFirst: (report: ProbeReport) => this.#workers[0]!.plane.probeReported(report),
        ...(options.guard ? { guard: options.guard } : {}),
      };
      this.#workers.push({ plane: new DataPlane(parts), tun, udp });
    }
  }

  /** A whole packet that the kernel routes into the TUN. */
  fromKernel(packet: Uint8Array): void {
    // Flows are pinned to workers: the last address octets will do as the kernel's flow hash here.
    const worker = (packet[39] ?? 0) % this.#workers.length;
    this.#workers[worker]!.tun.push(withoutOffload(packet));
  }

  /** Our own device takes datagrams of so many octets from now on, and refuses what is longer. */
  deviceTakes(octets: number): void {
    for (const { udp } of this.#workers) udp.most = octets;
  }

  fromUnderlay(bytes: Uint8Array, source: Endpoint): void {
    const address = toUnderlay(source);
    if (!address) throw new Error(`no address: ${source.address}`);
    const steered = bytes.length >= 8 && bytes[0]! >= FrameType.packet;
    const worker = steered ? bytes[7]! % this.#workers.length : 0;
    this.#workers[worker]!.udp.push(address, bytes);
  }

  command(command: PlaneCommand): void {
    this.#keys.given(command);
    if (this.#isStopped) this.#keys.wipe();
    else this.#dispatch.command(command);
  }

  onEvent(listener: (event: PlaneEvent, now: Millis) => void): void {
    this.#listener = listener;
  }

  /** Does all there is to do at this moment, and what its events ask for. */
  run(now: Millis): void {
    const moment = Moment.at(now);
    do {
      for (const { worker, order } of this.#orders.splice(0)) this.#workers[worker]!.plane.apply(order, moment);
      for (const { plane } of this.#workers) {
        if (now >= plane.deadline()) plane.tick(moment);
        while (plane.work(moment) > 0);
      }
      this.#handOut();
      for (const event of this.#events.splice(0)) this.#tell(event, now);
    } while (this.#orders.length > 0 || this.#events.length > 0);
  }

  deadline(): Millis {
    const busy = this.#orders.length > 0 || this.#workers.some(({ tun, udp }) => !tun.isEmpty || !udp.isEmpty);
    return busy ? Number.NEGATIVE_INFINITY : Math.min(...this.#workers.map(({ plane }) => plane.deadline()));
  }

  counters(link: LinkId): LinkCounters {
    return this.#dispatch.counters(link);
  }

  relayed(): number {
    return this.#meter.passed;
  }

  drops(): ReadonlyMap<string, number> {
    const sum = new Map<string, number>();
    this.#drops.addTo(sum);
    return sum;
  }

  async stop(): Promise<void> {
    this.#isStopped = true;
    for (const { plane } of this.#workers) plane.wipe();
    this.#orders.length = 0;
    this.#keys.wipe();
  }

  #handOut(): void {
    for (const { tun, udp } of this.#workers) {
      for (const packet of tun.written.splice(0)) this.#options.toKernel(packet.subarray(virtioHeaderLength));
      for (const { address, bytes, fresh } of udp.sent.splice(0)) {
        this.#options.toUnderlay(bytes, toEndpoint(address), fresh);
      }
    }
  }

  #tell(event: PlaneEvent, now: Millis): void {
    this.#dispatch.heard(event);
    this.#keys.told(event);
    this.#listener(event, now);
    this.#dispatch.taken(event);
  }
}
