import { readFileSync } from 'node:fs';
import test from 'ava';
import { fromHex, toHex } from '../../../src/bytes.js';
import { type Random, seededRandom } from '../../../src/random.js';
import { FrameType, relayHeaderLength, tagLength, transportHeaderLength } from '../../../src/tunnel/frame.js';
import { laneKey, NodeAead } from '../../../src/tunnel/plane/aead.js';
import { Arena } from '../../../src/tunnel/plane/arena.js';
import { writeHeader } from '../../../src/tunnel/plane/transmitter.js';
import { buildPacket } from './packets.js';
import { type Flight, key, type Node, receiverIndex, World } from './world.js';

/**
 * What planes say to each other beside plain packets: probes of every kind, halves, notices, control frames. Each
 * vector is sealed and opened, found among what a plane says, and given to a plane, which does what it asks for.
 */
interface Vector {
  readonly what: string;
  readonly from: number;
  readonly to: number;
  readonly type: number;
  readonly flags: number;
  readonly counter: number;
  /** What is sealed. */
  readonly plaintext: string;
  /** What follows the sealed part of a relayed frame. */
  readonly rest: string;
  readonly datagram: string;
}

const file = 'test/vectors/exchange.json';
const { datagrams: vectors } = JSON.parse(readFileSync(file, 'utf8')) as { datagrams: readonly Vector[] };
const vectorOf = (what: string) => vectors.find((vector) => vector.what === what)!;

const arena = new Arena();
const aead = new NodeAead(arena);
const keyOf = ({ from, to }: { from: number; to: number }) => laneKey(new Uint8Array(key(from, to, 1)), 0);

type Said = Omit<Vector, 'datagram' | 'what' | 'counter'>;

function sealed({ from, to, type, flags, counter, plaintext, rest }: Said & { readonly counter: number }): string {
  const text = fromHex(plaintext)!;
  arena.bytes.set(text, arena.tunIn);
  writeHeader(arena.view, arena.udpIn, type, flags, receiverIndex(to, from, 1), counter);
  aead.sealing('aes-256-gcm', keyOf({ from, to })).seal(arena.udpIn, counter, arena.tunIn, text.length, 0, 0);
  const end = arena.udpIn + transportHeaderLength + text.length + tagLength;
  return toHex(arena.bytes.subarray(arena.udpIn, end)) + rest;
}

/** Undefined for what is not under the first lane's key. */
function opened({ from, to, bytes }: Pick<Flight, 'from' | 'to' | 'bytes'>): Said | undefined {
  const [type, flags] = [bytes[0]!, bytes[1]!];
  const overhead = transportHeaderLength + tagLength;
  const length = type === FrameType.relay ? relayHeaderLength : bytes.length - overhead;
  arena.bytes.set(bytes, arena.udpIn);
  if (!aead.opening('aes-256-gcm', keyOf({ from, to })).open(arena.udpIn, length, 0, 0)) return undefined;
  const text = arena.udpIn + transportHeaderLength;
  const plaintext = toHex(arena.bytes.subarray(text, text + length));
  return { from, to, type, flags, plaintext, rest: toHex(bytes.subarray(overhead + length)) };
}

/** Chance of which every octet is known. */
const counting: Random = { ...seededRandom(1), bytes: (length) => Uint8Array.from({ length }, (_, i) => i + 1) };

/** A node that met another, measured the path to it, which is of a size that only the last round of a search tries, and moved. */
function neighbours(): World {
  const world = new World({ random: counting, pathSize: 1252 });
  const { a, b } = world.neighbours();
  a.command({ kind: 'sendControl', link: 2, bytes: fromHex('012a020000')! });
  world.run(1500);
  a.endpoint = { address: '198.51.100.7', port: 4000 };
  a.send(b);
  world.settle();
  return world;
}

/** A path too narrow for large packets, from node 1 over node 2 to node 3. */
function narrow(): { world: World; a: Node; relay: Node; b: Node } {
  const world = new World({ random: counting, pathSize: 1240 });
  return { world, ...world.relayed() };
}

function packetOf(a: Node, b: Node, hopLimit: number): Uint8Array {
  const payload = new Uint8Array(8).fill(6);
  const packet = buildPacket({ version: 6, protocol: 'udp', source: a.address, destination: b.address, payload });
  packet[7] = hopLimit;
  return packet;
}

/** What node 1 says on it: packets in halves, one of one hop, one that finds no way, a handshake. */
function talk({ world, a, relay, b }: ReturnType<typeof narrow>): World {
  world.run(1000);
  a.send(relay, 1200, 4);
  a.send(b, 1200, 5);
  a.plane.fromKernel(packetOf(a, b, 1));
  world.settle();
  a.command({ kind: 'sendDatagram', to: { kind: 'overlay', node: 3 }, bytes: fromHex('020a0b0c')! });
  world.settle();
  relay.route(b, []);
  a.plane.fromKernel(packetOf(a, b, 2));
  world.settle();
  return world;
}

test('every vector is what its fields seal to, and opens to them', (t) => {
  for (const vector of vectors) {
    const { what, datagram, counter, ...said } = vector;
    t.is(sealed(vector), datagram, what);
    t.deepEqual(opened({ ...vector, bytes: fromHex(datagram)! }), said, what);
    t.is(new DataView(fromHex(datagram)!.buffer).getUint32(12), counter, what);
  }
});

test('planes say all of it', (t) => {
  const said = [neighbours(), talk(narrow())].flatMap(({ captured }) =>
    captured.flatMap((flight) => opened(flight) ?? []),
  );
  const texts = new Set(said.map((each) => JSON.stringify(each)));
  for (const { what, datagram, counter, ...fields } of vectors) t.true(texts.has(JSON.stringify(fields)), what);
});

test('a control frame is handed on as it was said', (t) => {
  const world = new World({ random: counting });
  const { b } = world.neighbours();
  give(world, 'control frame, a Babel packet without TLVs');
  const control = b.events.find((event) => event.kind === 'control');
  t.is(control?.kind === 'control' && toHex(control.bytes), '012a020000');
});

for (const [question, reply] of [
  ['probe, ping', 'probe, pong'],
  ['probe, challenge', 'probe, answer'],
  ['probe, size', 'probe, passed'],
] as const) {
  test(`${question} is answered by ${reply}`, (t) => {
    const world = new World({ random: counting });
    world.neighbours();
    world.run(1000); // so that nothing else is to be said
    const before = world.captured.length;
    give(world, question);
    const said = world.captured.slice(before).flatMap((flight) => opened(flight) ?? []);
    const { type, flags, plaintext, rest } = vectorOf(reply);
    const [from, to] = [vectorOf(question).to, vectorOf(question).from];
    // Who is challenged asks questions of its own: answers are the even kinds.
    const answers = said.filter((each) => each.from === from && fromHex(each.plaintext)![0]! % 2 === 0);
    t.deepEqual(answers, [{ from, to, type, flags, plaintext, rest }]);
  });
}

test('a pong measures the tunnel, "passed" its path', (t) => {
  const world = new World({ random: counting });
  world.wire = ({ from, bytes }) => from !== 2 || bytes[0] !== FrameType.probe;
  const { a } = world.neighbours();
  world.run(1500); // it has asked
  give(world, 'probe, passed');
  t.false(a.kinds().includes('measured'));
  give(world, 'probe, pong');
  const measured = a.events.find((event) => event.kind === 'measured');
  t.is(measured?.kind === 'measured' && measured.mtu, 1252);
});

test('the answer to a challenge moves the tunnel to where it comes from', (t) => {
  const world = new World({ random: counting });
  const { a, b } = world.neighbours();
  world.wire = ({ from }) => from !== 2;
  a.endpoint = { address: '198.51.100.7', port: 4000 };
  a.send(b);
  world.settle();
  t.false(b.kinds().includes('moved'));
  give(world, 'probe, answer');
  t.true(b.kinds().includes('moved'));
});

for (const order of [
  ['first', 'second'],
  ['second', 'first'],
] as const) {
  test(`two halves are one frame, the ${order[0]} first`, (t) => {
    const { world, a, relay, b } = narrow();
    const large = (to: Node, fill: number) => {
      const payload = new Uint8Array(1200).fill(fill);
      return buildPacket({ version: 6, protocol: 'udp', source: a.address, destination: to.address, payload });
    };
    for (const half of order) give(world, `${half} half of a packet`);
    t.deepEqual(relay.received, [large(relay, 4)]);
    for (const half of order) give(world, `${half} half of a relayed frame`);
    const arrived = large(b, 5);
    arrived[7]! -= 1;
    t.deepEqual(b.received, [arrived], 'joined by the relay, and cut again');
  });
}

test('a handshake comes out of a relayed frame with the node that sent it', (t) => {
  const { world, b } = narrow();
  give(world, 'relayed frame, a handshake datagram in it');
  const datagram = b.events.find((event) => event.kind === 'datagram');
  t.deepEqual(datagram?.kind === 'datagram' && datagram.from, { kind: 'overlay', node: 1 });
  t.is(datagram?.kind === 'datagram' && toHex(datagram.bytes), '020a0b0c');
});

test('a notice becomes what a router would say, in the name of the relay', (t) => {
  const told: [string, number[]][] = [
    ['notice, the hop limit ran out', [3, 0]],
    ['notice, no next hop', [1, 0]],
  ];
  for (const [what, icmp] of told) {
    const { world, a, relay, b } = narrow();
    world.run(1000);
    world.wire = ({ from }) => from !== 2;
    talk({ world, a, relay, b });
    t.is(a.received.length, 0);
    give(world, what);
    t.deepEqual(
      a.received.map((packet) => [...packet.subarray(40, 42)]),
      [icmp],
    );
    t.deepEqual(a.received[0]!.slice(8, 24), relay.address);
  }
});

test('a frame whose hop limit runs out is answered by the notice about it', (t) => {
  const { world } = narrow();
  world.run(1000);
  give(world, 'relayed frame, a packet in it');
  const { counter: _, what, datagram, ...notice } = vectorOf('notice, the hop limit ran out');
  const said = opened(world.captured.at(-1)!);
  t.deepEqual(said, notice);
});

/** The datagram of a vector arrives at the node it is for, from where its sender is. */
function give(world: World, what: string): void {
  const { from, to, datagram } = vectorOf(what);
  world.nodes.get(to)!.plane.fromUnderlay(fromHex(datagram)!, world.nodes.get(from)!.endpoint);
  world.settle();
}
