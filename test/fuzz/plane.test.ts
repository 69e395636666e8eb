import test from 'ava';
import { parsePrefix } from '../../src/addr/prefix.js';
import { addressOf } from '../../src/ffi.js';
import { type Random, seededRandom } from '../../src/random.js';
import { type Aead, laneKey, NodeAead } from '../../src/tunnel/plane/aead.js';
import { Arena } from '../../src/tunnel/plane/arena.js';
import type { PlaneCommand, PlaneEvent, SessionInstall } from '../../src/tunnel/plane/contract.js';
import { DataPlane } from '../../src/tunnel/plane/data-plane.js';
import { Drops } from '../../src/tunnel/plane/drops.js';
import { sessionSharedLength } from '../../src/tunnel/plane/link.js';
import { LinkShared } from '../../src/tunnel/plane/link-shared.js';
import { EvpAead } from '../../src/tunnel/plane/linux-evp.js';
import { QueueTun, QueueUdp } from '../../src/tunnel/plane/queue-ports.js';
import { writeHeader } from '../../src/tunnel/plane/transmitter.js';
import { toUnderlay } from '../../src/tunnel/plane/underlay-address.js';
import { buildPacket } from '../tunnel/plane/packets.js';

const network = parsePrefix('fd77:6566:7400::/40')!;
const us = 1;
const member = 2;
const peerAddress = toUnderlay({ address: '192.0.2.2', port: 7 })!;
const factor = Number(process.env.WEFT_FUZZ ?? 1);

/** One plane with a tunnel to a member whose keys the fuzzer holds too. */
class Target {
  readonly arena = new Arena(addressOf);
  readonly aead: Aead = EvpAead.tryOpen(this.arena) ?? new NodeAead(this.arena);
  readonly tun = new QueueTun(this.arena, { offload: true, tcpSegmentation: true, udpSegmentation: true });
  readonly udp = new QueueUdp(this.arena);
  readonly drops = new Drops();
  readonly events: PlaneEvent[] = [];
  readonly plane: DataPlane;
  readonly session: SessionInstall;
  now = 1000;
  #counter = 0;
  readonly #sealer;

  constructor(random: Random) {
    this.plane = new DataPlane(
      {
        worker: 0,
        workers: 1,
        arena: this.arena,
        tun: this.tun,
        udp: this.udp,
        aead: this.aead,
        random,
        drops: this.drops,
        emit: (event) => this.events.push(event),
      },
      this.now,
    );
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
        node: member,
        carriage: { kind: 'direct', endpoint: { address: '192.0.2.2', port: 7 } },
      },
      { kind: 'installSession', session: this.session },
      { kind: 'patchRoutes', nodes: [{ node: member, hops: [1] }], prefixes: [], removedPrefixes: [] },
    ];
    for (const command of commands) {
      const bytes = command.kind === 'openLink' ? LinkShared.byteLength(1) : sessionSharedLength(this.session);
      this.plane.apply({ command, shared: new SharedArrayBuffer(bytes) }, this.now);
    }
  }

  receive(bytes: Uint8Array): void {
    this.udp.push(peerAddress, bytes);
    this.#settle();
  }

  fromKernel(packet: Uint8Array): void {
    this.tun.push(packet);
    this.#settle();
  }

  #settle(): void {
    this.now += 0.01;
    while (this.plane.work(this.now) > 0);
    if (this.now >= this.plane.deadline()) this.plane.tick(this.now);
    this.udp.sent.length = 0;
    if (this.events.length > 1000) this.events.length = 0;
  }

  /** An authentic frame with any header and any content: what a hostile member can send. */
  seal(type: number, flags: number, text: Uint8Array): Uint8Array {
    const { bytes, view, join, scratch } = this.arena;
    const counter = this.#counter++;
    bytes.set(text, scratch + 1024);
    writeHeader(view, join, type, flags, 16, counter);
    this.#sealer.seal(join, counter, scratch + 1024, text.length, 0, 0);
    return bytes.slice(join, join + 32 + text.length);
  }
}

/** Whatever was written, the virtio header speaks of the packet behind it and of nothing else. */
function isHarmless(written: Uint8Array): boolean {
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

function mutate(random: Random, bytes: Uint8Array): Uint8Array {
  const out = new Uint8Array(bytes);
  for (let i = 1 + random.below(3); i > 0 && out.length > 0; i--) {
    const at = random.below(Math.min(out.length, random.below(2) ? 64 : out.length));
    out[at] = random.below(4) === 0 ? [0, 1, 0x7f, 0x80, 0xff][random.below(5)]! : random.below(256);
  }
  return random.below(4) === 0 ? out.subarray(0, random.below(out.length + 1)) : out;
}

function innerPacket(random: Random, target: 'in' | 'out'): Uint8Array {
  const ours = new Uint8Array(network.bytes);
  ours[7] = us;
  ours[15] = 1;
  const theirs = new Uint8Array(ours);
  theirs[7] = member;
  return buildPacket({
    version: 6,
    protocol: random.below(2) ? 'tcp' : 'udp',
    source: target === 'in' ? theirs : ours,
    destination: target === 'in' ? ours : theirs,
    payload: new Uint8Array(random.below(1300)),
    open: random.below(2) === 1,
    tcpOptions: new Uint8Array(4 * random.below(11)),
    sequence: random.below(3) * 100,
  });
}

test('datagrams of every length and type from strangers harm nothing', (t) => {
  const random = seededRandom(21);
  const target = new Target(random);
  let executions = 0;
  for (let length = 0; length <= 65_000; length += length < 200 ? 1 : 97) {
    for (const type of [0x00, 0x01, 0x07, 0x0f, 0x10, 0x11, 0x12, 0x13, 0x14, 0xff]) {
      const bytes = new Uint8Array(length);
      if (length > 0) bytes[0] = type;
      if (length > 8) bytes[7] = 16 + random.below(3);
      target.receive(bytes);
      executions++;
    }
  }
  t.is(target.tun.written.length, 0);
  t.false(target.events.some((event) => event.kind === 'control' || event.kind === 'confirmed'));
  t.log(`${executions} executions`);
});

test('frames of a hostile member never make our kernel see a header of its choosing', (t) => {
  const random = seededRandom(22);
  const target = new Target(random);
  const rounds = 30_000 * factor;
  let delivered = 0;
  for (let i = 0; i < rounds; i++) {
    const type = [0x10, 0x10, 0x10, 0x11, 0x12, 0x13, random.below(256)][random.below(7)]!;
    const packet = innerPacket(random, 'in');
    const text = random.below(3) === 0 ? packet : mutate(random, packet);
    const flags = random.below(3) === 0 ? random.below(256) : random.below(2);
    const frame = target.seal(type, flags, text);
    target.receive(random.below(8) === 0 ? mutate(random, frame) : frame);
    for (const written of target.tun.written.splice(0)) {
      delivered++;
      if (!isHarmless(written)) {
        t.deepEqual(written, new Uint8Array(0), 'a harmful write');
        return;
      }
    }
  }
  t.true(delivered > rounds / 20, `${delivered}`);
  t.log(`${rounds} executions, ${delivered} packets delivered`);
});

test('relay headers of a hostile member lead nowhere they should not', (t) => {
  const random = seededRandom(23);
  const target = new Target(random);
  const rounds = 10_000 * factor;
  for (let i = 0; i < rounds; i++) {
    const header = random.bytes(8);
    if (random.below(2)) header.set([0, 0, us, 0, 0, member, random.below(3)]);
    const inner = random.below(2) ? target.seal(0x10, 0, innerPacket(random, 'in')) : random.bytes(random.below(200));
    const outer = target.seal(0x12, random.below(2) ? 0 : random.below(8), header);
    const frame = new Uint8Array(outer.length + inner.length);
    frame.set(outer);
    frame.set(inner, outer.length);
    target.receive(random.below(4) === 0 ? mutate(random, frame) : frame);
  }
  // An inner frame sealed for a tunnel is none of an end-to-end session: its ends are not the ones authenticated.
  t.is(target.tun.written.length, 0);
  t.log(`${rounds} executions`);
});

test('whatever our own kernel hands over, nothing throws', (t) => {
  const random = seededRandom(24);
  const target = new Target(random);
  target.receive(target.seal(0x13, 0, new Uint8Array(16)));
  const rounds = 30_000 * factor;
  for (let i = 0; i < rounds; i++) {
    const packet = innerPacket(random, 'out');
    const whole = new Uint8Array(10 + packet.length);
    whole.set(packet, 10);
    if (random.below(2)) {
      const view = new DataView(whole.buffer);
      whole[0] = random.below(3);
      whole[1] = [0, 1, 4, 5, 3, 0x84][random.below(6)]!;
      view.setUint16(2, random.below(200), true);
      view.setUint16(4, [0, 1, 100, 1308, 65_535][random.below(5)]!, true);
      view.setUint16(6, [0, 20, 40, 60, 65_535][random.below(5)]!, true);
      view.setUint16(8, [6, 16, 65_535][random.below(3)]!, true);
    }
    target.fromKernel(random.below(2) ? whole : mutate(random, whole));
  }
  t.log(`${rounds} executions`);
  t.pass();
});
