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

  /** A tunnel to another station, with keys that both have. */
  link(other: Station): void {
    const carriage = { kind: 'direct', endpoint: { address: '127.0.0.1', port: other.port } } as const;
    const link = other.number;
    const shared = new SharedArrayBuffer(LinkShared.byteLength(1));
    this.#order({ command: { kind: 'openLink', link, node: link, carriage }, shared });
    const session = {
      link,
      cipher: 'aes-256-gcm',
      localIndex: this.number,
      localLanes: 1,
      remoteIndex: link,
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
    const nodes = [{ node: link, hops: [link] }];
    this.#order({ command: { kind: 'patchRoutes', nodes, prefixes, removedPrefixes: [] } });
  }

  #order(order: WorkerOrder): void {
    this.#orders.postMessage(order);
    Atomics.store(this.#signals, Signal.orders, 1);
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

  async stop(): Promise<void> {
    const ended = new Promise((resolve) => this.#worker.once('exit', resolve));
    Atomics.store(this.#signals, Signal.stop, 1);
    system.write(this.#eventFd, this.#one.address, 8);
    await ended;
    this.#orders.close();
    for (const fd of this.#fds) system.close(fd);
  }
}

function ipv4(node: number): Uint8Array {
  return Uint8Array.of(0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 10, 77, 0, node);
}

/** Behind a virtio header that says nothing. */
function packetOf(version: 4 | 6): Uint8Array {
  const address = (node: number) => (version === 6 ? nodeAddress(network, node) : ipv4(node));
  const payload = new Uint8Array(40).fill(7);
  const packet = buildPacket({ version, protocol: 'udp', source: address(1), destination: address(2), payload });
  const all = new Uint8Array(virtioHeaderLength + packet.length);
  all.set(packet, virtioHeaderLength);
  return all;
}

/** Sends bursts from one to the other, each when the one before it has come. */
function run(from: Station, to: Station, packet: Uint8Array, bursts: number, burst: number): void {
  for (let i = 0; i < bursts; i++) {
    let left = burst * packet.length;
    const began = performance.now();
    for (let sent = 0; sent < burst || left > 0; left -= to.take()) {
      if (sent < burst && from.send(packet)) sent++;
      else if (performance.now() - began > 5000) throw new Error(`${left} octets of burst ${i} did not come`);
    }
  }
}

/**
 * A turn of the loop makes some numbers, the clock's and the deadlines', whatever it moves; probes go by time. The rest
 * is what packets run through.
 */
const ofTurns = /worker\.js|linux-clock|sleep-watch|linux-warm-up|data-plane\.js|prober|liveness|path-size/;
const mostOfTurn = 160;

test.serial("a worker's loop: a packet allocates nothing between real sockets, a turn a few numbers", async (t) => {
  const [a, b] = [new Station(1), new Station(2)];
  a.link(b);
  b.link(a);
  t.teardown(() => Promise.all([a.stop(), b.stop()]));
  // Both have their keys when a packet has come; those that came too are taken away.
  await until(
    'a packet comes',
    () => a.send(packetOf(6)) && b.take(),
    (length) => length !== false && length > 0,
    20_000,
  );
  await sleep(100);
  while (b.take() > 0);
  const allocations = await WorkerAllocations.of(2);
  t.teardown(() => allocations.close());
  const packets = 4096;
  for (const version of [6, 4] as const) {
    for (const burst of [1, 32]) {
      // A burst may take many turns: its numbers are counted where a packet comes alone.
      const most = burst === 1 ? mostOfTurn : Number.POSITIVE_INFINITY;
      // V8 compiles what was called often, when it has time to: until then, arithmetic allocates.
      let perPacket = Number.POSITIVE_INFINITY;
      let perTurn = Number.POSITIVE_INFINITY;
      let by: readonly (readonly [string, number])[] = [];
      for (let round = 0; round < 40 && (perPacket >= 1 || perTurn >= most); round++) {
        await allocations.start();
        run(a, b, packetOf(version), packets / burst, burst);
        const all = (await allocations.stop()).flatMap((sizes) => Object.entries(sizes));
        const sum = (sizes: typeof all) => sizes.reduce((total, [, size]) => total + size, 0) / 2;
        by = all.sort((one, other) => other[1] - one[1]).slice(0, 8);
        perPacket = sum(all.filter(([name]) => !ofTurns.test(name))) / packets;
        perTurn = sum(all.filter(([name]) => ofTurns.test(name))) / (packets / burst);
      }
      const what = `IPv${version}, ${burst} at once: ${perPacket.toFixed(2)} octets a packet, ${perTurn.toFixed(0)} a burst`;
      t.log(what);
      t.true(perPacket < 1 && perTurn < most, `${what}\n${by.join('\n')}`);
    }
  }
});
