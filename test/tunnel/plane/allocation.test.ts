import { type HeapProfiler, Session } from 'node:inspector';
import test from 'ava';
import { nodeAddress } from '../../../src/addr/node-number.js';
import { addressOf } from '../../../src/ffi.js';
import { seededRandom } from '../../../src/random.js';
import type { TunPort, UdpPort } from '../../../src/tunnel/plane/adapters.js';
import { Arena } from '../../../src/tunnel/plane/arena.js';
import type { Cipher, PlaneCommand, SessionInstall } from '../../../src/tunnel/plane/contract.js';
import { DataPlane, Waiting } from '../../../src/tunnel/plane/data-plane.js';
import { Drops } from '../../../src/tunnel/plane/drops.js';
import type { Gather } from '../../../src/tunnel/plane/gather.js';
import { sessionSharedLength } from '../../../src/tunnel/plane/link.js';
import { LinkShared } from '../../../src/tunnel/plane/link-shared.js';
import { EvpAead } from '../../../src/tunnel/plane/linux-evp.js';
import { Moment } from '../../../src/tunnel/plane/moment.js';
import { toUnderlay } from '../../../src/tunnel/plane/underlay-address.js';
import { buildPacket } from './packets.js';
import { network } from './world.js';

/** The longest burst. */
const mostOctets = 65536;

/** As long as that takes to copy as a whole, octet by octet. */
const fewOctets = 1024;

/** A time as clocks tell it: V8 has small integers without a heap number, and hardly any time is one. */
const now = Moment.at(2 ** 31 + 0.3);

/** A line that holds one burst, in memory made once. */
class Line implements UdpPort {
  readonly #arena: Arena;
  readonly #held = new Uint8Array(mostOctets);
  /** Of the arena, by where they begin: views are allocated, so each is made once. */
  readonly #views: (Uint8Array | undefined)[] = [];
  #length = 0;
  segment = 0;
  readonly source: Uint8Array;
  next: Line | undefined;

  constructor(arena: Arena, from: number) {
    this.#arena = arena;
    this.source = toUnderlay(endpoint(from))!;
  }

  send(_to: Uint8Array, at: number, length: number, segment: number): number {
    const { next } = this;
    if (!next) return 0;
    if (length < fewOctets) copy(this.#arena.bytes, at, next.#held, 0, length);
    else next.#held.set(this.#view(at));
    next.#length = length;
    next.segment = segment;
    return 0;
  }

  receive(at: number): number {
    const length = this.#length;
    if (length < fewOctets) copy(this.#held, 0, this.#arena.bytes, at, length);
    else this.#view(at).set(this.#held);
    this.#length = 0;
    return length;
  }

  #view(at: number): Uint8Array {
    const made = this.#views[at] ?? this.#arena.bytes.subarray(at, at + mostOctets);
    this.#views[at] = made;
    return made;
  }

  readonly tooLong = false;

  sendCuttable(to: Uint8Array, at: number, length: number): boolean {
    return this.send(to, at, length, length) === 0;
  }

  sendFresh(): void {}
}

/** Without views, which would be counted. */
function copy(from: Uint8Array, at: number, to: Uint8Array, out: number, length: number): void {
  for (let i = 0; i < length; i++) to[out + i] = from[at + i]!;
}

/** A kernel that hands out the same packet, a burst at a time, and counts what comes. */
class Kernel implements TunPort {
  readonly offload = true;
  readonly tcpSegmentation = true;
  readonly udpSegmentation = true;
  readonly #arena: Arena;
  packet: Uint8Array = new Uint8Array(0);
  readonly header = new Uint8Array(10);
  left = 0;
  octets = 0;

  constructor(arena: Arena) {
    this.#arena = arena;
  }

  read(at: number): number {
    if (this.left === 0) return 0;
    this.left--;
    this.#arena.bytes.set(this.header, at);
    this.#arena.bytes.set(this.packet, at + 10);
    return this.packet.length + 10;
  }

  write(pieces: Gather): boolean {
    this.octets += pieces.total;
    return true;
  }
}

const endpoint = (node: number) => ({ address: `192.0.2.${node}`, port: 16696 });

/** Of super-packets: small enough that a segment is not cut in two as well. */
const segment = 900;

class Station {
  readonly arena = new Arena(addressOf);
  readonly kernel = new Kernel(this.arena);
  readonly line: Line;
  readonly drops = new Drops();
  readonly plane: DataPlane;
  readonly number: number;

  constructor(number: number, from: number) {
    this.number = number;
    this.line = new Line(this.arena, from);
    this.plane = new DataPlane({
      worker: 0,
      workers: 1,
      arena: this.arena,
      tun: this.kernel,
      udp: this.line,
      aead: EvpAead.tryOpen(this.arena)!,
      random: seededRandom(number),
      drops: this.drops,
      emit: () => {},
    });
    this.command({
      kind: 'configure',
      node: number,
      networkPrefix: network.bytes,
      networkPrefixLength: network.length,
      relay: 'yes',
      relayLimitBitsPerSecond: 0,
      publicKey: new Uint8Array(32),
    });
  }

  command(command: PlaneCommand): void {
    const shared =
      command.kind === 'openLink'
        ? new SharedArrayBuffer(LinkShared.byteLength(1))
        : command.kind === 'installSession'
          ? new SharedArrayBuffer(sessionSharedLength(command.session))
          : undefined;
    this.plane.apply(shared ? { command, shared } : { command }, now);
  }

  /** A link with keys that the other has too, made of the two numbers, and the way there. */
  link(other: number, direct: boolean, via: number, cipher: Cipher): void {
    const carriage = direct ? ({ kind: 'direct', endpoint: endpoint(other) } as const) : ({ kind: 'overlay' } as const);
    this.command({ kind: 'openLink', link: other, node: other, carriage });
    const session: SessionInstall = {
      link: other,
      cipher,
      localIndex: this.number * 16 + other,
      localLanes: 1,
      remoteIndex: other * 16 + this.number,
      remoteLanes: 1,
      sendKey: new SharedArrayBuffer(32),
      receiveKey: new SharedArrayBuffer(32),
      role: 'initiator',
    };
    this.command({ kind: 'installSession', session });
    this.command({
      kind: 'patchRoutes',
      nodes: [{ node: other, hops: [via] }],
      prefixes: [],
      removedPrefixes: [],
    });
  }
}

/**
 * Of measuring, until one is without: V8 compiles beside us what runs often, when it finds a processor for that, and until
 * then it allocates. What our code allocates for each packet it allocates in each round.
 */
const mostRounds = 100;

/** Octets allocated on the heap while `work` runs, by function: V8's sampling profile, collected objects included. */
function allocated(work: () => void): { readonly octets: number; readonly by: string } {
  const session = new Session();
  session.connect();
  const options = {
    samplingInterval: 512,
    includeObjectsCollectedByMajorGC: true,
    includeObjectsCollectedByMinorGC: true,
  };
  session.post('HeapProfiler.startSampling', options as HeapProfiler.StartSamplingParameterType);
  work();
  const sizes = new Map<string, number>();
  let octets = 0;
  session.post('HeapProfiler.stopSampling', (_error, { profile }) => {
    const visit = (node: HeapProfiler.SamplingHeapProfileNode) => {
      const { functionName, url, lineNumber } = node.callFrame;
      const name = `${functionName} ${url.replace(/^.*\/dist\//, '')}:${lineNumber + 1}`;
      octets += node.selfSize;
      if (node.selfSize > 0) sizes.set(name, (sizes.get(name) ?? 0) + node.selfSize);
      for (const child of node.children) visit(child);
    };
    visit(profile.head);
  });
  session.disconnect();
  const by = [...sizes].sort((a, b) => b[1] - a[1]).slice(0, 8);
  return { octets, by: by.map(([name, size]) => `${name} ${size}`).join('\n') };
}

for (const [name, relayed, burst, kind, cipher] of [
  ['between neighbours', false, 32, 'small', 'aes-256-gcm'],
  ['between neighbours, one by one', false, 1, 'small', 'aes-256-gcm'],
  ['through a relay', true, 32, 'small', 'aes-256-gcm'],
  ['by ChaCha20', false, 32, 'small', 'chacha20-poly1305'],
  ['of those too long for the path, which are cut in two', false, 32, 'long', 'aes-256-gcm'],
  ['of those too long for the path, through a relay', true, 32, 'long', 'aes-256-gcm'],
  ['of super-packets, where sequence numbers pass 2^31', false, 1, 'super', 'aes-256-gcm'],
] as const) {
  test.serial(`no allocation per packet, ${name}`, (t) => {
    const [a, relay, b] = [new Station(1, 0), new Station(2, 1), new Station(3, relayed ? 2 : 1)];
    if (relayed) {
      a.line.next = relay.line;
      relay.line.next = b.line;
      a.link(2, true, 2, cipher);
      relay.link(1, true, 1, cipher);
      relay.link(3, true, 3, cipher);
      b.link(2, true, 2, cipher);
      a.link(3, false, 2, cipher);
      b.link(1, false, 2, cipher);
    } else {
      a.line.next = b.line;
      a.link(3, true, 3, cipher);
      b.link(1, true, 1, cipher);
    }
    const payload = new Uint8Array({ small: 40, long: 1200, super: 20 * segment }[kind]).fill(7);
    const [source, destination] = [nodeAddress(network, 1), nodeAddress(network, 3)];
    const ends = { version: 6, source, destination, payload } as const;
    if (kind === 'super') {
      a.kernel.packet = buildPacket({ ...ends, protocol: 'tcp', sequence: 2 ** 31 - 5 * segment, open: true });
      const header = new DataView(a.kernel.header.buffer);
      header.setUint8(0, 1); // the sum is open
      header.setUint8(1, 4); // TCP over IPv6
      for (const [i, word] of [60, segment, 40, 16].entries()) header.setUint16(2 + 2 * i, word, true);
    } else a.kernel.packet = buildPacket({ ...ends, protocol: 'udp' });
    const isLone = burst === 1 && kind === 'small';
    const stations = relayed ? [a, relay, b] : [a, b];
    const run = (bursts: number) => {
      for (let i = 0; i < bursts; i++) {
        a.kernel.left = burst;
        for (let at = 0; at < stations.length; at++) {
          const { plane } = stations[at]!;
          plane.work(now, Waiting.anywhere, isLone);
          if (isLone) plane.prime();
        }
      }
    };
    const bursts = isLone ? 50_000 : burst === 1 ? 10_000 : 3000;
    const seen: number[] = [];
    let last = '';
    while (seen.length < mostRounds && !(seen.at(-1)! < 1)) {
      const before = b.kernel.octets;
      const { octets, by } = allocated(() => run(bursts));
      t.is(b.kernel.octets - before, bursts * burst * (a.kernel.packet.length + 10));
      seen.push(octets / (bursts * burst * (kind === 'super' ? 20 : 1)));
      last = by;
    }
    const rounds = seen.map((octets) => octets.toFixed(2)).join(', ');
    t.log(`${rounds} octets a packet`);
    t.true(seen.at(-1)! < 1, `${rounds} octets a packet\n${last}`);
  });
}
