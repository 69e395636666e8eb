import { nodePrefix } from '../../addr/node-number.js';
import { parsePrefix } from '../../addr/prefix.js';
import { addressOf } from '../../ffi.js';
import { systemRandom } from '../../random.js';
import { type Millis, second } from '../../time.js';
import type { Aead } from './aead.js';
import type { Arena } from './arena.js';
import type { Cipher, PlaneCommand } from './contract.js';
import { DataPlane } from './data-plane.js';
import { Drops } from './drops.js';
import { sessionSharedLength } from './link.js';
import { LinkShared } from './link-shared.js';
import { StructMemory, system } from './linux-system.js';
import { LinuxTun } from './linux-tun.js';
import { connectLoopback, LinuxUdp, openLoopback } from './linux-udp.js';
import { Moment } from './moment.js';
import { Segmentation } from './segmentation.js';
import { virtioHeaderLength } from './virtio.js';
import { warmUpPackets } from './warm-up-packets.js';
import type { WorkerData } from './worker-data.js';

/** The usual path's largest datagram: super-packets are cut as between real neighbours. */
const pathSize = 1472;
const link = 1;
/** Well before they are too old to be used (src/tunnel/plane/link.ts). */
const keyLife: Millis = 120 * second;
const unixDatagramPair = [1, 0x80802, 0] as const;
const network = parsePrefix('fd00::/40')!;

/** What of the worker's own TUN and socket decides which code runs. */
type Host = { readonly tun: WorkerData['tun']; readonly udp: Omit<WorkerData['udp'], 'refused'> };

/**
 * Two planes of the very classes the real one is made of, which hand each other packets of every usual shape over loopback, with keys of
 * their own that are thrown away: what a real packet will run through is run through before it comes.
 *
 * Nothing of it leaves the machine, and none of the real plane's counters move. It works in the real plane's arena and
 * leaves nothing there; the real plane keeps its halves there, where no other writes.
 */
export class Rehearsal {
  readonly #ends: readonly [End, End];
  readonly #packets: readonly [readonly Uint8Array[], readonly Uint8Array[]];
  readonly #cipher: Cipher;
  readonly #buffer = new Uint8Array(65_536);
  readonly #address = addressOf(this.#buffer);
  #played = 0;
  /** Which of the two session numbers of an end is in use. */
  #generation = 0;
  #keysUntil: Millis;

  /** Undefined where this machine has no loopback. `cipher`: the one that sessions here use. */
  static open(host: Host, arena: Arena, aead: Aead, cipher: Cipher, now: Moment): Rehearsal | undefined {
    const [a, b] = [1, 2].map((node) => End.open(node, host, arena, aead, now));
    if (a && b && a.hearsOnly(b) && b.hearsOnly(a)) return new Rehearsal(host.tun, [a, b], cipher, now);
    a?.close();
    b?.close();
    return undefined;
  }

  private constructor(tun: Host['tun'], ends: readonly [End, End], cipher: Cipher, now: Moment) {
    this.#ends = ends;
    this.#packets = [packetsFor(tun, 1, 2), packetsFor(tun, 2, 1)];
    this.#cipher = cipher;
    this.#keysUntil = Number.NEGATIVE_INFINITY;
    ends[0].connect(ends[1], now);
    ends[1].connect(ends[0], now);
    this.#renewKeys(now);
  }

  /** How many shapes of packets there are. */
  get shapes(): number {
    return this.#packets[0].length;
  }

  /** One packet of this shape, one way and next time the other; whether it arrived. 0 is an echo request. */
  play(shape: number, now: Moment): boolean {
    if (now.millis >= this.#keysUntil) this.#renewKeys(now);
    const back = this.#played++ & 1;
    const packet = this.#packets[back]![shape]!;
    const from = this.#ends[back]!;
    const to = this.#ends[1 - back]!;
    this.#buffer.set(packet);
    system.write(from.kernel, this.#address, packet.length);
    from.work(now);
    to.work(now);
    let arrived = false;
    while (system.read(to.kernel, this.#address, this.#buffer.length) > 0) arrived = true;
    return arrived;
  }

  /** May be called again. */
  close(): void {
    for (const end of this.#ends) end.close();
  }

  #renewKeys(now: Moment): void {
    this.#keysUntil = now.millis + keyLife;
    this.#played &= ~1; // who answered has no word yet that its keys are in use: the initiator is first
    this.#generation ^= 1;
    const keys = [0, 1].map(() => {
      const shared = new SharedArrayBuffer(32);
      new Uint8Array(shared).set(systemRandom().bytes(32));
      return shared;
    }) as [SharedArrayBuffer, SharedArrayBuffer];
    const copies = keys.map((key) => key.slice(0)) as typeof keys; // each end zeroes what it was given
    this.#ends[0].key(this.#generation, this.#cipher, keys[0], keys[1], now);
    this.#ends[1].key(this.#generation, this.#cipher, copies[1], copies[0], now);
  }
}

/** Only what this TUN hands out. */
function packetsFor({ virtioHeader, tcpSegmentation }: Host['tun'], from: number, to: number): readonly Uint8Array[] {
  const { small, long } = warmUpPackets(network, from, to);
  const packets = tcpSegmentation ? [...small, long] : small;
  return virtioHeader ? packets : packets.map((packet) => packet.subarray(virtioHeaderLength));
}

/** A plane on a socket of loopback, whose kernel is the other end of a pair of sockets. */
class End {
  readonly #plane: DataPlane;
  /** When it was last at work: whoever calls keeps its own `now`. */
  readonly #now: Moment;
  /** Of the pair: what the plane reads from its TUN is written here, and the other way. */
  readonly kernel: number;
  readonly #node: number;
  readonly #family: 4 | 6;
  readonly #port: number;
  /** Its TUN's, its kernel's and its socket's, until it is closed. */
  #fds: readonly number[];

  static open(node: number, host: Host, arena: Arena, aead: Aead, now: Moment): End | undefined {
    const udp = openLoopback(host.udp.family);
    if (!udp) return undefined;
    const pair = new StructMemory(8);
    if (system.socketpair(...unixDatagramPair, pair.address) !== 0) {
      system.close(udp.fd);
      return undefined;
    }
    const [tun, kernel] = [pair.view.getInt32(0, true), pair.view.getInt32(4, true)];
    const own = Moment.at(now.millis);
    const plane = new DataPlane({
      worker: 0,
      workers: 1,
      arena,
      sharesArena: true,
      tun: new LinuxTun(tun, host.tun, arena),
      udp: new LinuxUdp(udp.fd, host.udp, arena, new Segmentation(host.udp.segmentation, () => own.millis)),
      aead,
      random: systemRandom(),
      drops: new Drops(),
      emit: () => {},
    });
    return new End(plane, node, host.udp.family, udp.port, [tun, kernel, udp.fd], own);
  }

  private constructor(
    plane: DataPlane,
    node: number,
    family: 4 | 6,
    port: number,
    fds: readonly [tun: number, kernel: number, udp: number],
    now: Moment,
  ) {
    this.#plane = plane;
    this.#now = now;
    this.kernel = fds[1];
    this.#node = node;
    this.#family = family;
    this.#port = port;
    this.#fds = fds;
    const command: PlaneCommand = {
      kind: 'configure',
      node,
      networkPrefix: network.bytes,
      networkPrefixLength: network.length,
      relay: 'no',
      relayLimitBitsPerSecond: 0,
      publicKey: new Uint8Array(32),
    };
    plane.apply({ command }, now);
  }

  /** Loopback is everybody's on this machine: other programs are not to be heard. False where that cannot be had. */
  hearsOnly({ port }: End): boolean {
    return connectLoopback(this.#fds[2]!, this.#family, port);
  }

  work(now: Moment): void {
    this.#now.millis = now.millis;
    this.#plane.work(now);
  }

  connect({ node, port }: { readonly node: number; readonly port: number }, now: Moment): void {
    const shared = new SharedArrayBuffer(LinkShared.byteLength(1));
    new LinkShared(shared, 0).pathSize = pathSize;
    const carriage = { kind: 'direct', endpoint: { address: '127.0.0.1', port } } as const;
    this.#plane.apply({ command: { kind: 'openLink', link, node, carriage }, shared }, now);
    const nodes = [{ node, hops: [link] }];
    const prefixes = [{ prefix: nodePrefix(network, node).bytes, length: 64, egress: node }];
    // As orders come, through a port: arrays made so are of another kind to V8, and code compiled for one meets no other.
    const command = structuredClone({ kind: 'patchRoutes', nodes, prefixes, removedPrefixes: [] } as const);
    this.#plane.apply({ command }, now);
  }

  get node(): number {
    return this.#node;
  }

  get port(): number {
    return this.#port;
  }

  /** Takes new keys into use, which it zeroes, and wipes those of the generation before. */
  key(
    generation: number,
    cipher: Cipher,
    sendKey: SharedArrayBuffer,
    receiveKey: SharedArrayBuffer,
    now: Moment,
  ): void {
    const indexOf = (node: number, which: number) => node + 2 * which;
    const session = {
      link,
      cipher,
      localIndex: indexOf(this.#node, generation),
      localLanes: 1,
      remoteIndex: indexOf(3 - this.#node, generation),
      remoteLanes: 1,
      sendKey,
      receiveKey,
      role: this.#node === 1 ? 'initiator' : 'responder',
    } as const;
    const shared = new SharedArrayBuffer(sessionSharedLength(session));
    this.#plane.apply({ command: { kind: 'installSession', session }, shared }, now);
    const localIndex = indexOf(this.#node, 1 - generation);
    this.#plane.apply({ command: { kind: 'dropSession', link, localIndex } }, now);
  }

  close(): void {
    this.#plane.wipe();
    const fds = this.#fds;
    this.#fds = []; // their numbers are soon those of other files
    for (const fd of fds) system.close(fd);
  }
}
