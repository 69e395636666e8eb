import test from 'ava';
import { type Endpoint, formatEndpoint } from '../../../src/addr/endpoint.js';
import { nodeAddress } from '../../../src/addr/node-number.js';
import { seededRandom } from '../../../src/random.js';
import { second } from '../../../src/time.js';
import { FrameType } from '../../../src/tunnel/frame.js';
import { NodeAead } from '../../../src/tunnel/plane/aead.js';
import { Arena } from '../../../src/tunnel/plane/arena.js';
import type { PlaneCommand, PlaneEvent, SessionInstall } from '../../../src/tunnel/plane/contract.js';
import { DataPlane, type PlaneOrder } from '../../../src/tunnel/plane/data-plane.js';
import { Dispatch } from '../../../src/tunnel/plane/dispatch.js';
import { Drops } from '../../../src/tunnel/plane/drops.js';
import { Moment } from '../../../src/tunnel/plane/moment.js';
import type { ProbeReport } from '../../../src/tunnel/plane/prober.js';
import { QueueTun, QueueUdp, withoutOffload } from '../../../src/tunnel/plane/queue-ports.js';
import { toEndpoint, toUnderlay } from '../../../src/tunnel/plane/underlay-address.js';
import { buildPacket } from './packets.js';
import { network } from './world.js';

/** Workers that take orders in their own time, and a main thread that reads in its own what they say. */
class Threads {
  readonly workers: { readonly plane: DataPlane; readonly tun: QueueTun; readonly udp: QueueUdp }[] = [];
  readonly said: PlaneEvent[] = [];
  readonly dispatch: Dispatch;
  readonly #orders: (PlaneOrder | { readonly report: ProbeReport })[][] = [];
  #unread: PlaneEvent[] = [];

  constructor(node: number, workers: number) {
    for (let worker = 0; worker < workers; worker++) {
      const arena = new Arena();
      const tun = new QueueTun(arena, { offload: false, tcpSegmentation: false, udpSegmentation: false });
      const udp = new QueueUdp(arena);
      const plane = new DataPlane({
        ...{ worker, workers, arena, tun, udp, aead: new NodeAead(arena), drops: new Drops() },
        random: seededRandom(10 * node + worker),
        emit: (event) => this.#unread.push(event),
        toFirst: (report) => this.#orders[0]!.push({ report }),
      });
      this.workers.push({ plane, tun, udp });
      this.#orders.push([]);
    }
    this.dispatch = new Dispatch(workers, (worker, order) => this.#orders[worker]!.push(order));
    const networkOf = { networkPrefix: network.bytes, networkPrefixLength: network.length };
    const noRelay = { relay: 'no', relayLimitBitsPerSecond: 0 } as const;
    this.dispatch.command({ kind: 'configure', node, ...networkOf, ...noRelay, publicKey: new Uint8Array(32) });
  }

  work(worker: number, now: number): void {
    const { plane } = this.workers[worker]!;
    const moment = Moment.at(now);
    for (const order of this.#orders[worker]!.splice(0)) {
      if ('report' in order) plane.probeReported(order.report);
      else plane.apply(order, moment);
    }
    while (plane.work(moment) > 0);
    if (now >= plane.deadline()) plane.tick(moment);
  }

  /** The main thread reads what was said. */
  read(): void {
    for (const event of this.#unread.splice(0)) {
      this.dispatch.heard(event);
      this.said.push(event);
    }
  }
}

const alice: Endpoint = { address: '192.0.2.1', port: 1 };
const bob: Endpoint = { address: '192.0.2.2', port: 2 };
const hotel: Endpoint = { address: '192.0.2.77', port: 1 };
const train: Endpoint = { address: '198.51.100.9', port: 9 };

/** Alice has one worker and moves about; Bob, who stays, has two. */
class Roaming {
  readonly alice = new Threads(1, 1);
  readonly bob = new Threads(2, 2);
  /** Where Alice can be reached, and where from she speaks. */
  reached: readonly Endpoint[] = [alice];
  from = alice;
  /** Of each worker of Bob's: where its packets went. */
  readonly wentTo: [string[], string[]] = [[], []];
  #now = 1000;

  constructor() {
    const key = (fill: number) => {
      const shared = new SharedArrayBuffer(32);
      new Uint8Array(shared).fill(fill);
      return shared;
    };
    const common = { link: 1, cipher: 'aes-256-gcm' } as const;
    const ofBob: SessionInstall = {
      ...{ ...common, role: 'responder', localIndex: 16, localLanes: 2, remoteIndex: 32, remoteLanes: 1 },
      ...{ sendKey: key(5), receiveKey: key(6) },
    };
    const ofAlice: SessionInstall = {
      ...{ ...common, role: 'initiator', localIndex: 32, localLanes: 1, remoteIndex: 16, remoteLanes: 2 },
      ...{ sendKey: key(6), receiveKey: key(5) },
    };
    for (const [threads, node, endpoint, session] of [
      [this.bob, 1, alice, ofBob],
      [this.alice, 2, bob, ofAlice],
    ] as const) {
      const nodes = [{ node, hops: [1] }];
      const commands: PlaneCommand[] = [
        { kind: 'openLink', link: 1, node, carriage: { kind: 'direct', endpoint } },
        { kind: 'installSession', session },
        { kind: 'patchRoutes', nodes, prefixes: [], removedPrefixes: [] },
      ];
      for (const command of commands) threads.dispatch.command(command);
    }
    this.run(3 * second);
  }

  aliceSends(): void {
    this.alice.workers[0]!.tun.push(packet(1, 2));
    this.alice.work(0, this.#now);
    this.carry();
  }

  bobWorks(worker: number): void {
    this.bob.work(worker, this.#now);
    this.carry();
  }

  aliceWorks(): void {
    this.alice.work(0, this.#now);
    this.carry();
  }

  carry(): void {
    for (const { bytes } of this.alice.workers[0]!.udp.sent.splice(0)) {
      this.bob.workers[bytes[7]! % 2]!.udp.push(toUnderlay(this.from)!, bytes);
    }
    for (const worker of [0, 1] as const) {
      for (const { bytes, address } of this.bob.workers[worker]!.udp.sent.splice(0)) {
        const to = formatEndpoint(toEndpoint(address));
        if (bytes[0] === FrameType.packet) this.wentTo[worker].push(to);
        if (!this.reached.some((endpoint) => formatEndpoint(endpoint) === to)) continue;
        this.alice.workers[0]!.udp.push(toUnderlay(bob)!, bytes);
      }
    }
  }

  settle(): void {
    for (let round = 0; round < 6; round++) {
      this.aliceWorks();
      this.bobWorks(0);
      this.bobWorks(1);
      this.alice.read();
      this.bob.read();
    }
  }

  /** Where the packets of each of Bob's workers go now. */
  ways(): string[][] {
    this.settle();
    this.wentTo[0].length = this.wentTo[1].length = 0;
    this.run(50);
    return this.wentTo.map((ways) => [...new Set(ways)]);
  }

  /** Packets both ways every 5 ms. */
  run(duration: number): void {
    for (const end = this.#now + duration; this.#now < end; this.#now += 5) {
      this.aliceSends();
      for (const { tun } of this.bob.workers) tun.push(packet(2, 1));
      this.settle();
    }
  }

  /** Alice is heard from elsewhere, challenged there, and answers: worker 0 has moved, the main thread has not read it. */
  movesUnread(to: Endpoint): void {
    this.from = to;
    this.aliceSends();
    this.bobWorks(0);
    this.aliceWorks();
    this.bobWorks(0);
  }
}

function packet(source: number, destination: number): Uint8Array {
  const [from, to] = [nodeAddress(network, source), nodeAddress(network, destination)];
  const payload = new Uint8Array(50);
  return withoutOffload(buildPacket({ version: 6, protocol: 'udp', source: from, destination: to, payload }));
}

test('a tunnel that moves while the control plane sends it elsewhere goes one way in all workers, and on to where it is heard', (t) => {
  const net = new Roaming();
  net.reached = [hotel, train];
  net.movesUnread(train);
  net.bob.dispatch.command({ kind: 'setCarriage', link: 1, carriage: { kind: 'direct', endpoint: hotel } });
  net.bob.read();
  t.true(net.bob.said.some(({ kind }) => kind === 'moved'));
  t.deepEqual(net.ways(), [[formatEndpoint(train)], [formatEndpoint(train)]]);
  // The train goes through a tunnel.
  net.reached = [hotel];
  net.from = hotel;
  net.run(2 * second);
  t.deepEqual(net.ways(), [[formatEndpoint(hotel)], [formatEndpoint(hotel)]]);
});

test('and stays on the overlay when it was put there meanwhile', (t) => {
  const net = new Roaming();
  net.reached = [train];
  net.movesUnread(train);
  net.bob.dispatch.command({ kind: 'setCarriage', link: 1, carriage: { kind: 'overlay' } });
  net.bob.read();
  t.true(net.bob.said.some(({ kind }) => kind === 'moved'));
  t.deepEqual(net.ways(), [[], []]);
});

test('a move alone is followed by all, and what comes for a link that was closed meanwhile by none', (t) => {
  const net = new Roaming();
  net.reached = [train];
  net.movesUnread(train);
  net.bob.read();
  t.deepEqual(net.ways(), [[formatEndpoint(train)], [formatEndpoint(train)]]);
  const told: PlaneOrder[] = [];
  const dispatch = new Dispatch(2, (_worker, order) => told.push(order));
  dispatch.command({ kind: 'openLink', link: 1, node: 1, carriage: { kind: 'direct', endpoint: alice } });
  dispatch.command({ kind: 'closeLink', link: 1 });
  dispatch.heard({ kind: 'moved', link: 1, endpoint: train });
  t.deepEqual(
    told.map(({ command }) => command.kind),
    ['openLink', 'openLink', 'closeLink', 'closeLink'],
  );
});
