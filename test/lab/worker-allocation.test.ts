import { setTimeout as sleep } from 'node:timers/promises';
import { MessageChannel, type MessagePort } from 'node:worker_threads';
import test from 'ava';
import { until } from '../../lab/until.js';
import { nodeAddress, nodePrefix } from '../../src/addr/node-number.js';
import { addressOf } from '../../src/ffi.js';
import { Drops } from '../../src/tunnel/plane/drops.js';
import { sessionSharedLength } from '../../src/tunnel/plane/link.js';
import { LinkShared } from '../../src/tunnel/plane/link-shared.js';
import { BootClock } from '../../src/tunnel/plane/linux-clock.js';
import { StructMemory, system } from '../../src/tunnel/plane/linux-system.js';
import { PlaneThreads } from '../../src/tunnel/plane/linux-threads.js';
import { openLoopback } from '../../src/tunnel/plane/linux-udp.js';
import { RelayMeter } from '../../src/tunnel/plane/relay-meter.js';
import { Segmentation } from '../../src/tunnel/plane/segmentation.js';
import { SentHeads } from '../../src/tunnel/plane/sent-heads.js';
import { virtioHeaderLength } from '../../src/tunnel/plane/virtio.js';
import { Signal, type WorkerData, type WorkerOrder } from '../../src/tunnel/plane/worker-data.js';
import { WorkerAllocations } from '../helpers/worker-allocations.js';
import { buildPacket } from '../tunnel/plane/packets.js';
import { network } from '../tunnel/plane/world.js';

const unixDatagramPair = [1, 0x80802, 0] as const;

/** A real worker thread, its loop and all its system calls; its kernel is the other end of a pair of sockets. */
class Station {
  readonly port: number;
  readonly #kernel: number;
  readonly #polled = new StructMemory(8);
  readonly #fds: readonly number[];
  readonly #eventFd = system.eventfd(0, 0x80800) as number;
  readonly #one = new StructMemory(8);
  readonly #signals = new Int32Array(new SharedArrayBuffer(8));
  readonly #orders: MessagePort;
  readonly #worker = new PlaneThreads().take(1)[0]!;
  readonly #buffer = new Uint8Array(65_536);
  readonly #address = addressOf(this.#buffer);
  readonly number: number;

  constructor(number: number) {
    this.number = number;
    const pair = new StructMemory(8);
    system.socketpair(...unixDatagramPair, pair.address);
    const [tun, kernel] = [pair.view.getInt32(0, true), pair.view.getInt32(4, true)];
    const udp = openLoopback(4)!;
    this.port = udp.port;
    this.#kernel = kernel;
    this.#polled.setInt(0, kernel);
    this.#polled.view.setUint16(4, 1, true); // POLLIN
    this.#fds = [tun, kernel, udp.fd, this.#eventFd];
    this.#one.setInt(0, 1);
    const { port1, port2 } = new MessageChannel();
    this.#orders = port1;
    const refused = new SharedArrayBuffer(Segmentation.byteLength);
    const data: WorkerData = {
      worker: 0,
      workers: 1,
      tun: { fd: tun, virtioHeader: true, tcpSegmentation: true, udpSegmentation: true },
      udp: {
        fd: udp.fd,
        handshakes: undefined,
        family: 4,
        mark: 0,
        segmentation: true,
        refused,
        receiveOffload: true,
      },
      eventFd: this.#eventFd,
      wakeUpFd: undefined,
      clock: new BootClock().shared,
      noEvp: false,
      noWarmUp: false,
      cookieSecret: new Uint8Array(32),
      signals: this.#signals.buffer as SharedArrayBuffer,
      heads: new SharedArrayBuffer(SentHeads.byteLength),
      relayed: new SharedArrayBuffer(RelayMeter.byteLength(1)),
      drops: new SharedArrayBuffer(Drops.byteLength),
      orders: port2,
    };
    this.#worker.postMessage(data, [port2]);
    this.#order({
      command: {
        kind: 'configure',
        node: number,
        networkPrefix: network.bytes,
        networkPrefixLength: network.length,
        relay: 'yes',
        relayLimitBitsPerSecond: 0,
        publicKey: new Uint8Array(32),
      },
    });
  }

  /** A tunnel to another station, with keys that both have; through `relay` where there is one. */
  link(other: Station, relay?: Station): void {
    const endpoint = { address: '127.0.0.1', port: other.port };
    const carriage = relay ? ({ kind: 'overlay' } as const) : ({ kind: 'direct', endpoint } as const);
    const link = other.number;
    const shared = new SharedArrayBuffer(LinkShared.byteLength(1));
    this.#order({ command: { kind: 'openLink', link, node: link, carriage }, shared });
    const session = {
      link,
      cipher: 'aes-256-gcm',
      localIndex: 16 * this.number + link,
      localLanes: 1,
      remoteIndex: 16 * link + this.number,
      remoteLanes: 1,
      sendKey: new SharedArrayBuffer(32),
      receiveKey: new SharedArrayBuffer(32),
      role: this.number < link ? 'initiator' : 'responder',
    } as const;
    const words = new SharedArrayBuffer(sessionSharedLength(session));
    this.#order({ command: { kind: 'installSession', session }, shared: words });
    const prefixes = [
      { prefix: nodePrefix(network, link).bytes, length: 64, egress: link },
      { prefix: ipv4(link), length: 128, egress: link },
      { prefix: ipv4(this.number), length: 128, egress: undefined },
    ];
    const nodes = [{ node: link, hops: [(relay ?? other).number] }];
    this.#order({ command: { kind: 'patchRoutes', nodes, prefixes, removedPrefixes: [] } });
  }

  #order(order: WorkerOrder): void {
    this.#orders.postMessage(order);
    Atomics.store(this.#signals, Signal.orders, 1);
    this.wake();
  }

  /** It does a turn, though nothing came. */
  wake(): void {
    system.write(this.#eventFd, this.#one.address, 8);
  }

  send(packet: Uint8Array): boolean {
    this.#buffer.set(packet);
    return system.write(this.#kernel, this.#address, packet.length) === packet.length;
  }

  /** Octets of what came out; 0: nothing did. */
  take(): number {
    return Math.max(0, system.read(this.#kernel, this.#address, this.#buffer.length));
  }

  /** Blocks until something comes out, five seconds at the most: a thread that only asked would take the workers' core. */
  await(): boolean {
    return system.poll(this.#polled.address, 1, 5000) > 0;
  }

  async stop(): Promise<void> {
    const ended = new Promise((resolve) => this.#worker.once('exit', resolve));
    Atomics.store(this.#signals, Signal.stop, 1);
    this.wake();
    await ended;
    this.#orders.close();
    for (const fd of this.#fds) system.close(fd);
  }
}

function ipv4(node: number): Uint8Array {
  return Uint8Array.of(0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 10, 77, 0, node);
}

/** From one to the other, behind a virtio header that says nothing. */
function packetOf(version: 4 | 6, from: Station, to: Station): Uint8Array {
  const address = ({ number }: Station) => (version === 6 ? nodeAddress(network, number) : ipv4(number));
  const payload = new Uint8Array(40).fill(7);
  const packet = buildPacket({ version, protocol: 'udp', source: address(from), destination: address(to), payload });
  const all = new Uint8Array(virtioHeaderLength + packet.length);
  all.set(packet, virtioHeaderLength);
  return all;
}

/** Sends bursts from one to the other, each when the one before it has come. */
function run(from: Station, to: Station, packet: Uint8Array, bursts: number, burst: number): void {
  for (let i = 0; i < bursts; i++) {
    let left = burst * packet.length;
    for (let sent = 0; left > 0; left -= to.take()) {
      while (sent < burst && from.send(packet)) sent++;
      if (!to.await()) throw new Error(`${left} octets of burst ${i} did not come`);
    }
  }
}

/** Probes and answers, by the second and not by the packet. */
const goesByTime = /prober|liveness|path-size/;
const packets = 4096;
/**
 * Octets for each worker that a packet runs through, where it is a turn of its own and where many are in one. A heap number has 16:
 * one in a turn of one worker of three is found.
 */
const most = { 1: 5, 32: 1 } as const;

/** One, a relay and a third behind it, on three threads; what was compiled for one way serves the next. */
let stations: readonly [Station, Station, Station];
let allocations: WorkerAllocations;

/** Who waits for packets answers an inspector when something wakes it: at rest, up to a second later. */
async function awake<T>(answer: Promise<T>): Promise<T> {
  const waking = setInterval(() => {
    for (const station of stations) station.wake();
  }, 5);
  return answer.finally(() => clearInterval(waking));
}

test.before(async () => {
  stations = [new Station(1), new Station(2), new Station(3)];
  const [one, relay, three] = stations;
  one.link(relay);
  relay.link(one);
  relay.link(three);
  three.link(relay);
  one.link(three, relay);
  three.link(one, relay);
  // All have their keys when packets come each way; those that came too are taken away.
  for (const [a, b] of [
    [one, three],
    [three, one],
  ] as const) {
    await until(
      'a packet comes',
      () => a.send(packetOf(6, a, b)) && b.take(),
      (length) => length !== false && length > 0,
      20_000,
    );
  }
  await sleep(100);
  for (const station of stations) while (station.take() > 0);
  allocations = await WorkerAllocations.of(stations.length);
});

test.after.always(async () => {
  allocations?.close();
  await Promise.all(stations.map((station) => station.stop()));
});

for (const [name, from, to] of [
  ['to a neighbour', 1, 2],
  ['from a neighbour', 2, 1],
  ['through a relay', 1, 3],
  ['back through it', 3, 1],
] as const) {
  test.serial(
    `a worker's loop allocates nothing for a packet between real sockets, alone or in a burst: ${name}`,
    async (t) => {
      const [source, destination] = [stations[from - 1]!, stations[to - 1]!];
      const workers = Math.abs(to - from) + 1;
      for (const version of [6, 4] as const) {
        for (const burst of [1, 32] as const) {
          // V8 compiles what was called often, when it has time to: until then, arithmetic allocates.
          let perPacket = Number.POSITIVE_INFINITY;
          let by: readonly (readonly [string, number])[] = [];
          let rounds = 0;
          for (; rounds < 40 && perPacket >= most[burst]; rounds++) {
            await awake(allocations.start());
            run(source, destination, packetOf(version, source, destination), packets / burst, burst);
            by = (await awake(allocations.stop()))
              .flatMap((sizes) => Object.entries(sizes).filter(([name]) => !goesByTime.test(name)))
              .sort((a, b) => b[1] - a[1]);
            perPacket = by.reduce((sum, [, size]) => sum + size, 0) / workers / packets;
          }
          const what = `IPv${version}, ${burst} at once: ${perPacket.toFixed(2)} octets a packet and worker, round ${rounds}`;
          t.log(what);
          t.true(perPacket < most[burst], `${what}\n${by.slice(0, 12).join('\n')}`);
        }
      }
    },
  );
}
