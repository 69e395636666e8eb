import { nodePrefix } from '../../addr/node-number.js';
import { parsePrefix } from '../../addr/prefix.js';
import { addressOf } from '../../ffi.js';
import { systemRandom } from '../../random.js';
import { type Millis, never } from '../../time.js';
import type { Aead } from './aead.js';
import type { Arena } from './arena.js';
import type { Cipher, PlaneCommand } from './contract.js';
import { DataPlane } from './data-plane.js';
import { Drops } from './drops.js';
import { sessionSharedLength } from './link.js';
import { LinkShared } from './link-shared.js';
import type { BootClock } from './linux-clock.js';
import { StructMemory, system } from './linux-system.js';
import { LinuxTun } from './linux-tun.js';
import { LinuxUdp, openLoopback } from './linux-udp.js';
import { Moment } from './moment.js';
import { Segmentation } from './segmentation.js';
import { virtioHeaderLength } from './virtio.js';
import { warmUpPackets } from './warm-up-packets.js';
import type { WorkerData } from './worker-data.js';

/** The usual path's largest datagram: super-packets are cut as between real neighbours. */
const pathSize = 1472;
const link = 1;
/** Each packet there and back so many times: V8 then has compiled what they run through (docs/decisions/130). */
const rounds = 700;
const sliceLength: Millis = 1;
/** Between slices the worker waits in poll, as at rest: what comes is served at once. */
const sliceEvery: Millis = 4;
/** After a packet of the real plane: whoever sends now is not to wait for us. */
const pause: Millis = 30;
/** A loopback that is down, or filtered: nothing can be learnt there. */
const mostLost = 50;
const unixDatagramPair = [1, 0x80802, 0] as const;

/** What of the worker's own TUN and socket decides which code runs. */
type Host = { readonly tun: WorkerData['tun']; readonly udp: Omit<WorkerData['udp'], 'refused'> };

/** A plane on a socket of loopback, whose kernel is the other end of a pair of sockets. */
interface End {
  readonly plane: DataPlane;
  readonly kernel: number;
  readonly fds: readonly number[];
  readonly port: number;
}

/**
 * Warms a worker's code up: two planes of the very classes the real one is made of, with keys of their own that are
 * thrown away, hand each other packets of every usual shape over loopback until V8 has compiled the path. Otherwise the
 * first thousands of real packets would be what it learns from, and each would take half as long again.
 *
 * In slices between two looks at the real descriptors, while nothing passes there. Nothing of it leaves the machine, and
 * none of the real plane's counters move. It works in the real plane's arena and leaves nothing there; the real plane keeps its halves
 * there, where no other writes.
 */
export class WarmUp {
  readonly #ends: readonly [End, End];
  readonly #packets: readonly [readonly Uint8Array[], readonly Uint8Array[]];
  readonly #buffer = new Uint8Array(65_536);
  readonly #address = addressOf(this.#buffer);
  #step = 0;
  #lost = 0;
  /** When the next slice is due. */
  readonly #at = new Moment();

  /** Undefined where this machine has no loopback. `cipher`: the one that sessions here use. */
  static open(data: Host, arena: Arena, aead: Aead, cipher: Cipher, now: Moment): WarmUp | undefined {
    const ends = [1, 2].map((node) => openEnd(node, data, arena, aead, now));
    const [a, b] = ends;
    if (!a || !b) {
      for (const end of ends) if (end) closeEnd(end);
      return undefined;
    }
    const keys = [0, 1].map(() => {
      const shared = new SharedArrayBuffer(32);
      new Uint8Array(shared).set(systemRandom().bytes(32));
      return shared;
    }) as [SharedArrayBuffer, SharedArrayBuffer];
    const copies = keys.map((key) => key.slice(0)) as typeof keys; // each end zeroes what it was given
    connect(a, 1, b.port, keys[0], keys[1], cipher, now);
    connect(b, 2, a.port, copies[1], copies[0], cipher, now);
    return new WarmUp(data.tun, [a, b], now);
  }

  private constructor(tun: Host['tun'], ends: readonly [End, End], now: Moment) {
    this.#ends = ends;
    this.#packets = [packetsFor(tun, 1, 2), packetsFor(tun, 2, 1)];
    this.#at.millis = now.millis + pause;
  }

  /** How long until then, as `Moment.until` says it; `most` once all is done and closed. */
  wait(now: Moment, most: Millis): Millis {
    return now.until(this.#at, most);
  }

  /** The real plane is at work. */
  yield(now: Moment): void {
    if (this.#at.millis !== never) this.#at.millis = now.millis + pause;
  }

  /** One slice, at the end of which `now` is that of `clock`. */
  run(clock: BootClock, now: Moment): void {
    const until = now.millis + sliceLength;
    const last = 2 * rounds * this.#packets[0].length;
    while (now.millis < until) {
      if (this.#step === last || this.#lost > mostLost) return this.close();
      this.#exchange(now);
      this.#step++;
      clock.tell(now);
    }
    this.#at.millis = now.millis + sliceEvery;
  }

  close(): void {
    if (this.#at.millis === never) return;
    this.#at.millis = never;
    for (const end of this.#ends) closeEnd(end);
  }

  /** One packet one way. */
  #exchange(now: Moment): void {
    const back = this.#step & 1;
    const packets = this.#packets[back]!;
    const packet = packets[(this.#step >>> 1) % packets.length]!;
    const from = this.#ends[back]!;
    const to = this.#ends[1 - back]!;
    this.#buffer.set(packet);
    system.write(from.kernel, this.#address, packet.length);
    from.plane.work(now);
    to.plane.work(now);
    let arrived = false;
    while (system.read(to.kernel, this.#address, this.#buffer.length) > 0) arrived = true;
    if (!arrived) this.#lost++;
  }
}

const network = parsePrefix('fd00::/40')!;

/** Only what this TUN hands out. */
function packetsFor({ virtioHeader, tcpSegmentation }: Host['tun'], from: number, to: number): readonly Uint8Array[] {
  const { small, long } = warmUpPackets(network, from, to);
  const packets = tcpSegmentation ? [...small, long] : small;
  return virtioHeader ? packets : packets.map((packet) => packet.subarray(virtioHeaderLength));
}

function openEnd(node: number, data: Host, arena: Arena, aead: Aead, now: Moment): End | undefined {
  const pair = new StructMemory(8);
  const udp = openLoopback(data.udp.family);
  if (!udp) return undefined;
  if (system.socketpair(...unixDatagramPair, pair.address) !== 0) {
    system.close(udp.fd);
    return undefined;
  }
  const [tun, kernel] = [pair.view.getInt32(0, true), pair.view.getInt32(4, true)];
  const plane = new DataPlane({
    worker: 0,
    workers: 1,
    arena,
    sharesArena: true,
    tun: new LinuxTun(tun, data.tun, arena),
    udp: new LinuxUdp(udp.fd, data.udp, arena, new Segmentation(data.udp.segmentation, () => now.millis)),
    aead,
    random: systemRandom(),
    drops: new Drops(),
    emit: () => {},
  });
  const configure: PlaneCommand = {
    kind: 'configure',
    node,
    networkPrefix: network.bytes,
    networkPrefixLength: network.length,
    relay: 'no',
    relayLimitBitsPerSecond: 0,
    publicKey: new Uint8Array(32),
  };
  plane.apply({ command: configure }, now);
  return { plane, kernel, fds: [tun, kernel, udp.fd], port: udp.port };
}

function connect(
  { plane }: End,
  node: number,
  port: number,
  sendKey: SharedArrayBuffer,
  receiveKey: SharedArrayBuffer,
  cipher: Cipher,
  now: Moment,
): void {
  const other = 3 - node;
  const shared = new SharedArrayBuffer(LinkShared.byteLength(1));
  new LinkShared(shared, 0).pathSize = pathSize;
  const carriage = { kind: 'direct', endpoint: { address: '127.0.0.1', port } } as const;
  plane.apply({ command: { kind: 'openLink', link, node: other, carriage }, shared }, now);
  const session = {
    link,
    cipher,
    localIndex: node,
    localLanes: 1,
    remoteIndex: other,
    remoteLanes: 1,
    sendKey,
    receiveKey,
    role: node === 1 ? 'initiator' : 'responder',
  } as const;
  const words = new SharedArrayBuffer(sessionSharedLength(session));
  plane.apply({ command: { kind: 'installSession', session }, shared: words }, now);
  const nodes = [{ node: other, hops: [link] }];
  const prefixes = [{ prefix: nodePrefix(network, other).bytes, length: 64, egress: other }];
  // As orders come, through a port: arrays made so are of another kind to V8, and code compiled for one meets no other.
  const routes = structuredClone({ kind: 'patchRoutes', nodes, prefixes, removedPrefixes: [] } as const);
  plane.apply({ command: routes }, now);
}

function closeEnd({ plane, fds }: End): void {
  plane.wipe();
  for (const fd of fds) system.close(fd);
}
