import test from 'ava';
import { nodeAddress } from '../../../src/addr/node-number.js';
import { seededRandom } from '../../../src/random.js';
import { NodeAead } from '../../../src/tunnel/plane/aead.js';
import { Arena } from '../../../src/tunnel/plane/arena.js';
import type { PlaneCommand } from '../../../src/tunnel/plane/contract.js';
import { DataPlane, Waiting } from '../../../src/tunnel/plane/data-plane.js';
import { Drops } from '../../../src/tunnel/plane/drops.js';
import type { Gather } from '../../../src/tunnel/plane/gather.js';
import { sessionSharedLength } from '../../../src/tunnel/plane/link.js';
import { LinkShared } from '../../../src/tunnel/plane/link-shared.js';
import { Moment } from '../../../src/tunnel/plane/moment.js';
import { QueueTun, QueueUdp, withoutOffload } from '../../../src/tunnel/plane/queue-ports.js';
import { toUnderlay } from '../../../src/tunnel/plane/underlay-address.js';
import { buildPacket } from './packets.js';
import { network } from './world.js';

const now = Moment.at(1);

/** A kernel that answers each packet while it is handed over, and counts how often it is asked for one. */
class AnsweringTun extends QueueTun {
  answer: Uint8Array | undefined;
  reads = 0;

  override read(at: number, room: number): number {
    this.reads++;
    return super.read(at, room);
  }

  override write(pieces: Gather): boolean {
    if (this.answer) this.push(withoutOffload(this.answer));
    return super.write(pieces);
  }
}

function station(number: number, other: number) {
  const arena = new Arena();
  const tun = new AnsweringTun(arena, { offload: false, tcpSegmentation: false, udpSegmentation: false });
  const udp = new QueueUdp(arena);
  const plane = new DataPlane({
    worker: 0,
    workers: 1,
    arena,
    tun,
    udp,
    aead: new NodeAead(arena),
    random: seededRandom(number),
    drops: new Drops(),
    emit: () => {},
  });
  const apply = (command: PlaneCommand, shared?: SharedArrayBuffer) =>
    plane.apply(shared ? { command, shared } : { command }, now);
  apply({
    kind: 'configure',
    node: number,
    networkPrefix: network.bytes,
    networkPrefixLength: network.length,
    relay: 'no',
    relayLimitBitsPerSecond: 0,
    publicKey: new Uint8Array(32),
  });
  const endpoint = { address: `192.0.2.${other}`, port: 16696 };
  const openLink = { kind: 'openLink', link: 1, node: other, carriage: { kind: 'direct', endpoint } } as const;
  apply(openLink, new SharedArrayBuffer(LinkShared.byteLength(1)));
  const session = {
    link: 1,
    cipher: 'aes-256-gcm',
    localIndex: number,
    localLanes: 1,
    remoteIndex: other,
    remoteLanes: 1,
    sendKey: new SharedArrayBuffer(32),
    receiveKey: new SharedArrayBuffer(32),
    role: 'initiator',
  } as const;
  apply({ kind: 'installSession', session }, new SharedArrayBuffer(sessionSharedLength(session)));
  apply({ kind: 'patchRoutes', nodes: [{ node: other, hops: [1] }], prefixes: [], removedPrefixes: [] });
  return { tun, udp, plane };
}

/** Packets of `from`, sealed, in the queue of `to`. */
function carry(
  from: ReturnType<typeof station>,
  to: ReturnType<typeof station>,
  packet: Uint8Array,
  count: number,
): void {
  for (let i = 0; i < count; i++) from.tun.push(withoutOffload(packet));
  from.plane.work(now, Waiting.tun);
  for (const { bytes } of from.udp.sent.splice(0))
    to.udp.push(toUnderlay({ address: '192.0.2.1', port: 16696 })!, bytes);
}

const [one, two] = [nodeAddress(network, 1), nodeAddress(network, 2)];
const packetTo = (source: Uint8Array, destination: Uint8Array, payload = new Uint8Array(64)) =>
  buildPacket({ version: 6, protocol: 'udp', source, destination, payload });
const question = packetTo(one, two);
const longer = packetTo(one, two, new Uint8Array(200));
const answer = packetTo(two, one);

test('what the kernel answers to a lone packet leaves in the same turn', (t) => {
  const [a, b] = [station(1, 2), station(2, 1)];
  b.tun.answer = answer;
  for (let turn = 1; turn <= 3; turn++) {
    carry(a, b, question, 1);
    b.plane.work(now, Waiting.udp);
    t.is(b.tun.written.length, turn);
    t.is(b.udp.sent.length, turn);
  }
});

test('after a rest one packet is taken each way, and its answer leaves before anybody looks whether more waits', (t) => {
  const [a, b] = [station(1, 2), station(2, 1)];
  b.tun.answer = answer;
  carry(a, b, question, 1);
  carry(a, b, longer, 1); // which no offload puts into one read with the shorter
  b.plane.work(now, Waiting.udp, true);
  t.is(b.tun.written.length, 1);
  t.is(b.tun.reads, 1);
  t.is(b.udp.sent.length, 1);
  b.plane.prime();
  b.plane.work(now, Waiting.udp);
  t.is(b.tun.written.length, 2);
  t.is(b.udp.sent.length, 2);
  for (let i = 0; i < 2; i++) a.tun.push(withoutOffload(question));
  a.plane.work(now, Waiting.tun, true);
  t.is(a.udp.sent.length, 1);
  a.plane.work(now, Waiting.tun);
  t.is(a.udp.sent.length, 2);
});

test('a burst is not taken for a question: the kernel is asked when it says that something waits', (t) => {
  const [a, b] = [station(1, 2), station(2, 1)];
  carry(a, b, question, 5);
  b.plane.work(now, Waiting.udp);
  t.is(b.tun.written.length, 5);
  t.is(b.tun.reads, 0);
});
