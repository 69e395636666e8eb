import { nodeAddress } from '../../src/addr/node-number.js';
import { parsePrefix } from '../../src/addr/prefix.js';
import { concatBytes, equalBytes } from '../../src/bytes.js';
import { addressOf } from '../../src/ffi.js';
import type { Random } from '../../src/random.js';
import { FrameType } from '../../src/tunnel/frame.js';
import { Guard } from '../../src/tunnel/guard.js';
import { type Aead, laneKey, NodeAead } from '../../src/tunnel/plane/aead.js';
import { Arena } from '../../src/tunnel/plane/arena.js';
import type { PlaneCommand, PlaneEvent, SessionInstall } from '../../src/tunnel/plane/contract.js';
import { DataPlane } from '../../src/tunnel/plane/data-plane.js';
import { Drops } from '../../src/tunnel/plane/drops.js';
import { sessionSharedLength } from '../../src/tunnel/plane/link.js';
import { LinkShared } from '../../src/tunnel/plane/link-shared.js';
import { EvpAead } from '../../src/tunnel/plane/linux-evp.js';
import { Moment } from '../../src/tunnel/plane/moment.js';
import { QueueTun, QueueUdp } from '../../src/tunnel/plane/queue-ports.js';
import { writeHeader } from '../../src/tunnel/plane/transmitter.js';
import { toUnderlay } from '../../src/tunnel/plane/underlay-address.js';
import { buildPacket } from '../tunnel/plane/packets.js';

const network = parsePrefix('fd77:6566:7400::/40')!;
const lanLength = 120;
export const us = 1;
export const member = 2;
/** An IPv4 address in the LAN behind each, as 16 octets. */
export const ourHost: Uint8Array = ipv4(10, 1, 0, 9);
export const theirHost: Uint8Array = ipv4(10, 2, 0, 9);
const peerAddress = toUnderlay({ address: '192.0.2.2', port: 7 })!;

/** One plane with a tunnel to a member whose keys the fuzzer holds too; behind each is a LAN of IPv4. */
export class HostileMember {
  readonly arena = new Arena(addressOf);
  readonly aead: Aead = EvpAead.tryOpen(this.arena) ?? new NodeAead(this.arena);
  readonly tun = new QueueTun(this.arena, { offload: true, tcpSegmentation: true, udpSegmentation: true });
  readonly udp = new QueueUdp(this.arena);
  readonly drops = new Drops();
  readonly events: PlaneEvent[] = [];
  readonly plane: DataPlane;
  readonly session: SessionInstall;
  readonly now = Moment.at(1000);
  /** Datagrams sent to whoever is not the member. */
  answers = 0;
  #counter = 0;
  readonly #sealer;

  /** `node`: whom the link is to. */
  constructor(random: Random, node = member) {
    this.plane = new DataPlane({
      worker: 0,
      workers: 1,
      arena: this.arena,
      tun: this.tun,
      udp: this.udp,
      aead: this.aead,
      random,
      drops: this.drops,
      guard: (publicKey) => new Guard({ publicKey, cookieSecret: new Uint8Array(32), random }),
      emit: (event) => this.events.push(event),
    });
    const key = () => new SharedArrayBuffer(32);
    this.session = {
      link: 1,
      cipher: 'aes-256-gcm',
      localIndex: 16,
      localLanes: 2,
      remoteIndex: 32,
      remoteLanes: 2,
      sendKey: key(),
      receiveKey: key(),
      role: 'responder',
    };
    this.#sealer = this.aead.sealing('aes-256-gcm', laneKey(new Uint8Array(32), 0));
    const commands: readonly PlaneCommand[] = [
      {
        kind: 'configure',
        node: us,
        networkPrefix: network.bytes,
        networkPrefixLength: network.length,
        relay: 'yes',
        relayLimitBitsPerSecond: 0,
        publicKey: new Uint8Array(32),
      },
      {
        kind: 'openLink',
        link: 1,
        node,
        carriage: { kind: 'direct', endpoint: { address: '192.0.2.2', port: 7 } },
      },
      { kind: 'installSession', session: this.session },
      { kind: 'setSources', link: 1, prefixes: [{ prefix: ipv4(10, 2, 0, 0), length: lanLength }] },
      {
        kind: 'patchRoutes',
        nodes: [{ node, hops: [1] }],
        prefixes: [
          { prefix: ipv4(10, 1, 0, 0), length: lanLength, egress: undefined },
          { prefix: ipv4(10, 2, 0, 0), length: lanLength, egress: node },
        ],
        removedPrefixes: [],
      },
    ];
    for (const command of commands) {
      const bytes = command.kind === 'openLink' ? LinkShared.byteLength(1) : sessionSharedLength(this.session);
      this.plane.apply({ command, shared: new SharedArrayBuffer(bytes) }, this.now);
    }
  }

  receive(bytes: Uint8Array, from = peerAddress): void {
    this.udp.push(from, bytes);
    this.#settle(from);
  }

  fromKernel(packet: Uint8Array): void {
    this.tun.push(packet);
    this.#settle();
  }

  #settle(asked?: Uint8Array): void {
    this.now.millis += 0.01;
    while (this.plane.work(this.now) > 0);
    if (this.now.millis >= this.plane.deadline()) this.plane.tick(this.now);
    if (asked && asked !== peerAddress)
      this.answers += this.udp.sent.filter(({ address }) => equalBytes(address, asked)).length;
    this.udp.sent.length = 0;
    if (this.events.length > 1000) this.events.length = 0;
  }

  /** An authentic frame with any header and any content: what a hostile member can send. */
  seal(type: number, flags: number, text: Uint8Array): Uint8Array {
    return this.#seal(type, flags, text, 0, 0);
  }

  /** The same through a relay, from end to end; the relay header is authentic too. */
  relayed(type: number, flags: number, text: Uint8Array): Uint8Array {
    return this.behindRelay(this.#seal(type, flags, text, us, member));
  }

  /** A relay header in front of anything at all. */
  behindRelay(inner: Uint8Array): Uint8Array {
    return concatBytes(this.seal(FrameType.relay, 0, Uint8Array.of(0, 0, us, 0, 0, member, 32, 0)), inner);
  }

  #seal(type: number, flags: number, text: Uint8Array, destination: number, source: number): Uint8Array {
    const { bytes, view, join, scratch } = this.arena;
    const counter = this.#counter++;
    bytes.set(text, scratch + 1024);
    writeHeader(view, join, type, flags, 16, counter);
    this.#sealer.seal(join, counter, scratch + 1024, text.length, destination, source);
    return bytes.slice(join, join + 32 + text.length);
  }
}

/** Whatever was written, the virtio header speaks of the packet behind it and of nothing else. */
export function isHarmless(written: Uint8Array): boolean {
  const view = new DataView(written.buffer, written.byteOffset, written.length);
  const length = written.length - 10;
  const [flags, kind] = [written[0]!, written[1]!];
  if (flags === 0) return kind === 0 && view.getUint32(2) === 0 && view.getUint32(6) === 0;
  const version = written[10]! >> 4;
  const ip = version === 6 ? 40 : 20;
  const protocol = version === 6 ? written[16]! : written[19]!;
  const start = view.getUint16(6, true);
  const offset = view.getUint16(8, true);
  if (flags !== 1 || start !== ip || offset !== (protocol === 6 ? 16 : 6) || start + offset + 2 > length) return false;
  if (kind === 0) return true;
  const headers = view.getUint16(2, true);
  const size = view.getUint16(4, true);
  const expected = protocol === 17 ? 5 : version === 6 ? 4 : 1;
  return kind === expected && headers <= length && size > 0 && headers + size < length;
}

/** IPv4-mapped, 16 octets. */
export function ipv4(...octets: readonly number[]): Uint8Array {
  return Uint8Array.of(0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 255, 255, ...octets);
}

/** A packet between the two, of either version by chance; of IPv4 between hosts of their LANs. */
export function innerPacket(
  random: Random,
  target: 'in' | 'out',
  version: 4 | 6 = random.below(2) ? 4 : 6,
): Uint8Array {
  const [ours, theirs] =
    version === 4 ? [ourHost, theirHost] : [nodeAddress(network, us), nodeAddress(network, member)];
  return buildPacket({
    version,
    protocol: random.below(2) ? 'tcp' : 'udp',
    source: target === 'in' ? theirs : ours,
    destination: target === 'in' ? ours : theirs,
    payload: new Uint8Array(random.below(1300)),
    open: random.below(2) === 1,
    tcpOptions: new Uint8Array(4 * random.below(11)),
    sequence: random.below(3) * 100,
  });
}
