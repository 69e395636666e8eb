import test from 'ava';
import { parseIp } from '../../../src/addr/ip.js';
import { parsePrefix } from '../../../src/addr/prefix.js';
import { Arena } from '../../../src/tunnel/plane/arena.js';
import { PacketShape, TcpFlag } from '../../../src/tunnel/plane/packet.js';
import { copySegment, segmentKind } from '../../../src/tunnel/plane/segment.js';
import { VirtioGso, VirtioHeader, writeOpenVirtio } from '../../../src/tunnel/plane/virtio.js';
import { buildPacket, isSound, segmentsOf } from './packets.js';
import { type Node, World } from './world.js';

const { syn, ack, fin, rst, psh } = TcpFlag;

interface Said {
  readonly sequence?: number;
  readonly flags?: number;
  readonly length?: number;
  readonly port?: number;
}

/** A segment of a TCP connection; the packet sent. */
function say(from: Node, to: Node, { sequence = 1, flags = ack, length = 100, port = 1000 }: Said = {}): Uint8Array {
  const packet = buildPacket({
    version: 6,
    protocol: 'tcp',
    source: from.address,
    destination: to.address,
    payload: new Uint8Array(length).fill(sequence),
    sourcePort: port,
    sequence,
    flags,
  });
  from.plane.fromKernel(packet);
  return packet;
}

/** Two neighbours, and no route from the first to the second. */
function unreachable(workers: number) {
  const world = new World({ workers });
  const { a, b } = world.neighbours();
  a.route(b, []);
  world.settle();
  return { world, a, b, back: () => a.route(b, [b]) };
}

for (const workers of [1, 3]) {
  test(`of a connection without a route the newest segment is sent when there is one, once (${workers} workers)`, (t) => {
    const { world, a, b, back } = unreachable(workers);
    const sent = [1, 2, 3].map((sequence) => {
      const packet = say(a, b, { sequence });
      world.run(1000);
      return packet;
    });
    t.is(a.received.length, 3, 'the kernel is told each time');
    back();
    world.run(1000);
    t.deepEqual(b.received, [sent[2]!]);
    t.is(a.dropped('unreachable'), 0);
    t.is(a.dropped('kept-in-vain'), 2);
    a.route(b, []);
    world.settle();
    back();
    world.run(1000);
    t.is(b.received.length, 1);
  });

  test(`what is sent into doubt is sent again when the other is heard (${workers} workers)`, (t) => {
    const world = new World({ workers });
    const { a, b } = world.neighbours();
    a.command({ kind: 'setProbing', link: b.number, pace: 'fast' });
    world.run(1500);
    world.wire = () => false;
    for (let i = 0; i < 10; i++) {
      a.send(b);
      world.run(100);
    }
    t.true(a.kinds().includes('suspected'));
    world.captured.length = 0;
    const sent = say(a, b);
    world.run(500);
    t.is(world.captured.filter(({ bytes }) => bytes.length === sent.length + 32).length, 1, 'not again before');
    world.wire = () => true;
    world.run(1200);
    t.true(a.kinds().includes('recovered'));
    t.deepEqual(b.received, [sent]);
    t.is(a.dropped('kept-in-vain'), 0);
  });
}

test('two connections, and what acknowledges beside what is sent, are kept side by side', (t) => {
  const { world, a, b, back } = unreachable(1);
  const first = say(a, b, { port: 1 });
  const acknowledgement = say(a, b, { port: 1, length: 0 });
  const second = say(a, b, { port: 2, flags: ack | fin, length: 0 });
  world.settle();
  back();
  world.settle();
  t.deepEqual(b.received, [first, acknowledgement, second]);
});

test('a new connection to a node without a route fails as ever, and nothing said before it is sent', (t) => {
  const { world, a, b, back } = unreachable(1);
  for (const flags of [syn, rst, rst | ack]) {
    say(a, b);
    say(a, b, { length: 0 });
    say(a, b, { flags, length: 0 });
    world.settle();
  }
  t.is(a.received.length, 9);
  back();
  world.settle();
  t.is(b.received.length, 0);
  t.is(a.dropped('unreachable'), 3);
  t.is(a.dropped('kept-in-vain'), 6);
});

test('UDP is not kept, and takes no answers from TCP', (t) => {
  const { world, a, b, back } = unreachable(1);
  for (let i = 0; i < 50; i++) a.send(b);
  world.settle();
  t.is(a.received.length, 20);
  say(a, b);
  world.settle();
  t.is(a.received.length, 21);
  t.is(a.dropped('unreachable'), 50);
  back();
  world.settle();
  t.is(b.received.length, 1);
});

test('a segment that waited too long for a session is kept for when there is one', (t) => {
  const world = new World();
  const [a, b] = [world.node(1), world.node(2)];
  a.open(b, { kind: 'direct', endpoint: b.endpoint });
  b.open(a, { kind: 'direct', endpoint: a.endpoint });
  a.route(b, [b]);
  const sent = say(a, b);
  a.send(b);
  world.run(3000);
  t.is(a.dropped('staging-expired'), 1);
  world.rekey(a, b, 1);
  t.deepEqual(b.received, [sent]);
});

test('a kept segment goes where its address is now, and nowhere where that is nobody’s or our own', (t) => {
  const world = new World();
  const { a, b } = world.neighbours();
  const c = world.node(3);
  world.join(a, c);
  const [lan, ours] = [parsePrefix('10.1.0.0/16')!, parsePrefix('10.2.0.0/16')!];
  const patch = (egress: number | undefined) => {
    const prefixes = [{ prefix: lan.bytes, length: lan.length, egress }];
    a.command({ kind: 'patchRoutes', nodes: [], prefixes, removedPrefixes: [] });
    world.settle();
  };
  for (const node of [b, c]) {
    const prefixes = [{ prefix: lan.bytes, length: lan.length, egress: undefined }];
    node.command({ kind: 'patchRoutes', nodes: [], prefixes, removedPrefixes: [] });
    node.command({ kind: 'setSources', link: 1, prefixes: [{ prefix: ours.bytes, length: ours.length }] });
  }
  const packet = buildPacket({
    version: 4,
    protocol: 'tcp',
    source: parseIp('10.2.0.1')!,
    destination: parseIp('10.1.0.1')!,
    payload: new Uint8Array(100),
  });
  patch(b.number);
  a.route(b, []);
  world.settle();
  a.plane.fromKernel(packet);
  world.settle();
  const removedPrefixes = [{ prefix: lan.bytes, length: lan.length }];
  a.command({ kind: 'patchRoutes', nodes: [], prefixes: [], removedPrefixes });
  a.route(b, [b]);
  world.run(1000);
  patch(undefined);
  world.run(1000);
  t.is(b.received.length + c.received.length, 0);
  patch(c.number);
  world.run(1000);
  t.is(b.received.length, 0);
  t.deepEqual(c.received, [packet]);
});

test('a relay keeps nothing of others', (t) => {
  const world = new World();
  const { a, relay, b } = world.relayed();
  relay.route(b, []);
  world.settle();
  say(a, b);
  world.settle();
  relay.route(b, [b]);
  world.run(1000);
  t.is(b.received.length, 0);
});

for (const version of [4, 6] as const) {
  test(`of a super-packet the first segment is kept, as it would have come alone (IPv${version})`, (t) => {
    const arena = new Arena();
    const virtio = new VirtioHeader();
    const shape = new PacketShape();
    const ends =
      version === 6
        ? { source: parseIp('fd00::1')!, destination: parseIp('fd00::2')! }
        : { source: parseIp('10.0.0.1')!, destination: parseIp('10.0.0.2')! };
    const payload = Uint8Array.from({ length: 5000 }, (_, i) => i & 255);
    const build = (part: Uint8Array, flags: number) =>
      buildPacket({ version, protocol: 'tcp', ...ends, payload: part, flags, tcpOptions: new Uint8Array(12).fill(1) });
    const copyOf = (packet: Uint8Array, size: number) => {
      const ip = version === 6 ? 40 : 20;
      const gso = version === 6 ? VirtioGso.tcp6 : VirtioGso.tcp4;
      writeOpenVirtio(arena.view, arena.tunIn, gso, ip + 32, size, ip, 16);
      arena.bytes.set(packet, arena.tunIn + 10);
      virtio.read(arena.view, arena.tunIn);
      if (!shape.read(arena.view, arena.tunIn + 10, packet.length)) throw new Error('no packet');
      return copySegment(arena, virtio, shape);
    };
    const whole = build(payload, ack | psh | fin);
    const copy = copyOf(whole, 1308);
    t.deepEqual(segmentsOf(copy!), [build(payload.subarray(0, 1308), ack)]);
    t.true(isSound(segmentsOf(copy!)[0]!));
    t.deepEqual(arena.bytes.slice(arena.tunIn + 10, arena.tunIn + 10 + whole.length), whole, 'left as it was');
    const short = build(payload.subarray(0, 700), ack | psh | fin);
    t.deepEqual(segmentsOf(copyOf(short, 1308)!), [short], 'the last keeps its flags');
    t.is(copyOf(whole, 2000), undefined, 'too long to travel');
    t.is(copyOf(whole, 0), undefined);
    t.is(segmentKind(arena.view, shape), 'data');
  });
}
