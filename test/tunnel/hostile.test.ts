import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import test from 'ava';
import { nodeAddress } from '../../src/addr/node-number.js';
import { concatBytes } from '../../src/bytes.js';
import { seededRandom } from '../../src/random.js';
import { hour, minute, second } from '../../src/time.js';
import { ControlChannel, FrameType } from '../../src/tunnel/frame.js';
import { laneKey, NodeAead } from '../../src/tunnel/plane/aead.js';
import { Arena } from '../../src/tunnel/plane/arena.js';
import { writeHeader } from '../../src/tunnel/plane/transmitter.js';
import { toUnderlay } from '../../src/tunnel/plane/underlay-address.js';
import {
  HostileMember,
  innerPacket,
  ipv4,
  isHarmless,
  member,
  ourHost,
  theirHost,
  us,
} from '../fuzz/hostile-member.js';
import { buildPacket } from './plane/packets.js';
import { key, network, receiverIndex, World } from './plane/world.js';

/** One test for each bad input the issue of the tunnel names; what needs a real kernel is in test/lab. */
const stranger = toUnderlay({ address: '198.51.100.9', port: 9 })!;

const ours = nodeAddress(network, us);
const theirs = nodeAddress(network, member);
const at = (text: number[]) => concatBytes(Uint8Array.from(text), new Uint8Array(16 - text.length));
const inner = (source: Uint8Array, destination: Uint8Array, version: 4 | 6 = 6) =>
  buildPacket({ version, protocol: 'udp', source, destination, payload: new Uint8Array(40) });

function dropsOf(subject: HostileMember): Map<string, number> {
  const sum = new Map<string, number>();
  subject.drops.addTo(sum);
  return sum;
}

function totalOf(subject: HostileMember): number {
  return [...dropsOf(subject).values()].reduce((sum, count) => sum + count, 0);
}

test('datagrams of every length from 0 to 65507, of rotating types, from strangers: each dropped and counted, none answered', (t) => {
  const subject = new HostileMember(seededRandom(1));
  const bytes = new Uint8Array(65_507);
  let sent = 0;
  const send = (type: number, length: number) => {
    bytes[0] = type;
    subject.receive(bytes.subarray(0, length), stranger);
    sent++;
    if (subject.answers > 0) t.fail(`type ${type} length ${length} was answered`);
  };
  for (let length = 0; length <= 65_507; length++) send((length * 7) & 0xff, length);
  for (let type = 0; type < 256; type++)
    for (const length of [1, 2, 9, 15, 16, 17, 56, 64, 1199, 1200, 1201]) send(type, length);
  t.is(subject.tun.written.length, 0);
  const passed = subject.events.filter(({ kind }) => kind === 'datagram').length;
  t.is(totalOf(subject) + passed, sent);
  t.true(passed < 300, 'only dial-backs and cookie replies, within their budget');
});

test('empty datagrams are counted and end no reading', (t) => {
  const subject = new HostileMember(seededRandom(3));
  for (let i = 0; i < 3; i++) subject.udp.push(stranger, new Uint8Array(0));
  subject.receive(subject.seal(0x10, 0, innerPacket(seededRandom(5), 'in')));
  t.is(subject.tun.written.length, 1);
  t.deepEqual([...dropsOf(subject)], [['malformed-frame', 3]]);
});

test('a frame of a member, truncated at each octet or with any bit flipped, is dropped and counted; whole, it still opens', (t) => {
  const subject = new HostileMember(seededRandom(2));
  const frame = subject.seal(0x10, 0, innerPacket(seededRandom(5), 'in').subarray(0));
  let sent = 0;
  for (let length = 1; length < frame.length; length++, sent++) subject.receive(frame.subarray(0, length));
  for (let at = 0; at < frame.length; at++) {
    for (let bit = 0; bit < 8; bit++, sent++) {
      const changed = frame.slice();
      changed[at]! ^= 1 << bit;
      subject.receive(changed);
    }
  }
  t.is(subject.tun.written.length, 0);
  t.is(totalOf(subject), sent);
  subject.receive(frame);
  t.is(subject.tun.written.length, 1);
});

for (const [type, what, text] of [
  [FrameType.control, 'control', Uint8Array.of(ControlChannel.babel, ...new Uint8Array(40))],
  [FrameType.relay, 'relayed', inner(theirs, ours)],
  [FrameType.probe, 'probe', new Uint8Array(16)],
] as const) {
  test(`a ${what} frame of a member, truncated at each octet or with any bit flipped, does nothing; whole, it is taken`, (t) => {
    const subject = new HostileMember(seededRandom(6));
    const fresh = () =>
      type === FrameType.relay ? subject.relayed(FrameType.packet, 0, text) : subject.seal(type, 0, text);
    const taken = () => subject.events.filter(({ kind }) => kind === 'control').length + subject.tun.written.length;
    const { length } = fresh();
    let sent = 0;
    for (let cut = 1; cut < length; cut++, sent++) subject.receive(fresh().subarray(0, cut));
    for (let at = 0; at < length; at++) {
      for (let bit = 0; bit < 8; bit++, sent++) {
        const changed = fresh();
        changed[at]! ^= 1 << bit;
        subject.receive(changed);
      }
    }
    t.is(taken(), 0);
    t.is(totalOf(subject), sent);
    t.false(subject.events.some(({ kind }) => kind === 'measured'));
    subject.receive(fresh());
    t.is(totalOf(subject), sent, 'the whole one is no drop');
    if (type !== FrameType.probe) t.is(taken(), 1);
  });
}

test('a frame replayed at once, across a rekey and an hour later, from its sender or a stranger, is dropped and moves nothing', (t) => {
  const world = new World();
  const a = world.node(1);
  const b = world.node(2);
  world.join(a, b);
  a.send(b);
  world.settle();
  t.is(b.received.length, 1);
  const frame = world.captured.findLast(({ from, bytes }) => from === 1 && bytes[0] === 0x10)!.bytes;
  const replay = () => {
    for (const source of [a.endpoint, { address: '198.51.100.9', port: 9 }]) b.plane.fromUnderlay(frame, source);
    world.settle();
  };
  replay();
  t.is(b.dropped('replayed'), 2);
  world.rekey(a, b, 2);
  a.send(b);
  world.settle();
  replay();
  t.is(b.dropped('replayed'), 4, 'the old session still knows what it has seen');
  for (let generation = 3; generation < 10; generation++) world.rekey(a, b, generation);
  replay();
  t.is(b.dropped('unknown-index'), 2, 'its keys are gone');
  world.run(hour / 60);
  world.now += hour;
  replay();
  t.is(b.dropped('unknown-index'), 4);
  t.is(b.received.length, 2);
  t.false(b.kinds().includes('moved'));
});

const kindsOfReplay = [
  'a control frame',
  'the halves of a frame',
  'a relayed frame, at the relay',
  'a relayed frame, at its end',
  'an end-to-end frame in a fresh one of the relay',
] as const;

/** Somebody keeps what carries one message, and sends it again. */
function replayed(kind: (typeof kindsOfReplay)[number]) {
  const world = new World({ pathSize: 1096 });
  const isRelayed = kind.includes('relay');
  const { a, relay, b } = isRelayed ? world.relayed() : { ...world.neighbours(), relay: undefined };
  const atRelay = kind === 'a relayed frame, at the relay';
  const [from, to] = relay ? (atRelay ? [a, relay] : [relay, b]) : [a, b];
  const pairs = relay
    ? ([
        [a, relay],
        [relay, b],
        [a, b],
      ] as const)
    : ([[a, b]] as const);
  const inFreshOnes = kind === 'an end-to-end frame in a fresh one of the relay';
  let generation = 1;
  let counter = 5000;
  /** What the relay seals for this end-to-end frame anew. */
  const fresh = (inner: Uint8Array): Uint8Array => {
    const arena = new Arena();
    arena.bytes.set(Uint8Array.of(0, 0, b.number, 0, 0, a.number, 5, 0), arena.tunIn);
    const index = receiverIndex(b.number, from.number, generation);
    writeHeader(arena.view, arena.udpIn, FrameType.relay, 0, index, ++counter);
    const lane = laneKey(new Uint8Array(key(from.number, b.number, generation)), 0);
    new NodeAead(arena).sealing('aes-256-gcm', lane).seal(arena.udpIn, counter, arena.tunIn, 8, 0, 0);
    return concatBytes(arena.bytes.slice(arena.udpIn, arena.udpIn + 40), inner);
  };
  const act = () => {
    if (kind === 'a control frame') a.command({ kind: 'sendControl', link: b.number, bytes: Uint8Array.of(1, 42) });
    else a.send(b, kind === 'the halves of a frame' ? 1300 : 100);
    world.settle();
  };
  const type = isRelayed ? 0x12 : kind === 'a control frame' ? 0x11 : 0x10;
  world.captured.length = 0;
  act();
  const kept = world.captured
    .filter((flight) => flight.from === from.number && flight.to === to.number && flight.bytes[0] === type)
    .map(({ bytes }) => (inFreshOnes ? bytes.subarray(40) : bytes));
  const sources = inFreshOnes ? [from.endpoint] : [from.endpoint, { address: '198.51.100.9', port: 9 }];
  return {
    world,
    to,
    act,
    /** How many datagrams a replay has. */
    size: kept.length * sources.length,
    kept,
    replay: () => {
      for (const source of sources) {
        for (const bytes of kept) to.plane.fromUnderlay(inFreshOnes ? fresh(bytes) : bytes, source);
      }
      world.settle();
    },
    rekey: () => {
      generation++;
      for (const [one, other] of pairs) world.rekey(one, other, generation);
    },
    /** What came of all that was sent. */
    effects: () => b.received.length + b.kinds().filter((event) => event === 'control').length,
  };
}

for (const kind of kindsOfReplay) {
  test(`${kind}, replayed at once, across a rekey and an hour later, is dropped and does nothing`, (t) => {
    const { world, to, act, size, kept, replay, rekey, effects } = replayed(kind);
    t.is(kept.length, kind === 'the halves of a frame' ? 2 : 1);
    t.is(effects(), 1);
    replay();
    t.is(to.dropped('replayed'), size);
    rekey();
    act();
    t.is(effects(), 2);
    replay();
    t.is(to.dropped('replayed'), 2 * size, 'the old session still knows what it has seen');
    for (let i = 0; i < 7; i++) rekey();
    replay();
    t.is(to.dropped('unknown-index'), size, 'its keys are gone');
    world.run(minute);
    world.now += hour;
    rekey();
    replay();
    t.is(to.dropped('unknown-index'), 2 * size);
    t.is(effects(), 2);
    t.false(to.kinds().includes('moved'));
  });
}

/** An extension header of 8 octets between the IPv6 header and UDP. */
function extended(type: number, next = 17): Uint8Array {
  const plain = inner(theirs, ours);
  const packet = concatBytes(plain.subarray(0, 40), Uint8Array.of(next, 0, 0, 0, 0, 0, 0, 1), plain.subarray(40));
  packet[6] = type;
  new DataView(packet.buffer).setUint16(4, packet.length - 40);
  return packet;
}

/** An IPv4 packet with these options of 4 or 8 octets. */
function withOptions(...options: readonly number[]): Uint8Array {
  const plain = inner(theirHost, ourHost, 4);
  const packet = concatBytes(plain.subarray(0, 20), Uint8Array.from(options), plain.subarray(20));
  packet[0] = 0x45 + options.length / 4;
  new DataView(packet.buffer).setUint16(2, packet.length);
  return packet;
}

function lying(change: (view: DataView) => void, version: 4 | 6 = 6): Uint8Array {
  const packet = version === 6 ? inner(theirs, ours) : inner(ipv4(10, 0, 0, 1), ipv4(10, 0, 0, 2), 4);
  change(new DataView(packet.buffer));
  return packet;
}

const badPackets: readonly (readonly [what: string, reason: string, packet: Uint8Array])[] = [
  ["another node's source", 'wrong-source', inner(nodeAddress(network, 9), ours)],
  ['our own source', 'wrong-source', inner(ours, ours)],
  ['a source outside the network', 'wrong-source', inner(at([0x20, 1, 0xd, 0xb8]), ours)],
  ['the loopback source', 'wrong-source', inner(concatBytes(new Uint8Array(15), Uint8Array.of(1)), ours)],
  ['to loopback', 'forbidden-destination', inner(theirs, concatBytes(new Uint8Array(15), Uint8Array.of(1)))],
  ['to nowhere', 'forbidden-destination', inner(theirs, new Uint8Array(16))],
  ['to link-local', 'forbidden-destination', inner(theirs, at([0xfe, 0x80, 0, 0, 0, 0, 0, 1]))],
  ['to multicast', 'forbidden-destination', inner(theirs, at([0xff, 2, 0, 0, 0, 0, 0, 1]))],
  ['to a third node', 'not-for-us', inner(theirs, nodeAddress(network, 9))],
  ['IPv4 of nobody', 'wrong-source', inner(ipv4(10, 0, 0, 1), ourHost, 4)],
  ['the source of a host of ours', 'wrong-source', inner(ourHost, ourHost, 4)],
  ['the IPv4 loopback source', 'wrong-source', inner(ipv4(127, 0, 0, 1), ourHost, 4)],
  ['IPv4 to loopback', 'forbidden-destination', inner(theirHost, ipv4(127, 0, 0, 1), 4)],
  ['IPv4 to nowhere', 'forbidden-destination', inner(theirHost, ipv4(0, 0, 0, 0), 4)],
  ['IPv4 to this network', 'forbidden-destination', inner(theirHost, ipv4(0, 1, 2, 3), 4)],
  ['IPv4 to link-local', 'forbidden-destination', inner(theirHost, ipv4(169, 254, 169, 254), 4)],
  ['IPv4 to multicast', 'forbidden-destination', inner(theirHost, ipv4(224, 0, 0, 1), 4)],
  ['IPv4 to a reserved address', 'forbidden-destination', inner(theirHost, ipv4(240, 0, 0, 1), 4)],
  ['IPv4 to broadcast', 'forbidden-destination', inner(theirHost, ipv4(255, 255, 255, 255), 4)],
  ['IPv6 to the IPv4 loopback', 'forbidden-destination', inner(theirs, ipv4(127, 0, 0, 1))],
  ['the IPv6 form of a granted IPv4 source', 'wrong-source', inner(theirHost, ours)],
  ['the IPv6 form of an IPv4 host of ours', 'forbidden-destination', inner(theirs, ourHost)],
  ['IPv4 to a third network', 'not-for-us', inner(theirHost, ipv4(10, 3, 0, 9), 4)],
  ['a length too long', 'malformed-packet', lying((view) => view.setUint16(4, view.getUint16(4) + 1))],
  ['a length too short', 'malformed-packet', lying((view) => view.setUint16(4, view.getUint16(4) - 1))],
  ['version 5', 'malformed-packet', lying((view) => view.setUint8(0, 0x50))],
  ['version 4 in a packet of 6', 'malformed-packet', lying((view) => view.setUint8(0, 0x45))],
  ['an IPv4 length too long', 'malformed-packet', lying((view) => view.setUint16(2, view.getUint16(2) + 1), 4)],
  ['an IPv4 length too short', 'malformed-packet', lying((view) => view.setUint16(2, view.getUint16(2) - 1), 4)],
  ['a multicast source', 'wrong-source', inner(at([0xff, 2]), ours)],
  ['a link-local source', 'wrong-source', inner(at([0xfe, 0x80]), ours)],
  ['no source', 'wrong-source', inner(new Uint8Array(16), ours)],
  ['an IPv4 multicast source', 'wrong-source', inner(ipv4(224, 0, 0, 1), ourHost, 4)],
  ['an IPv4 link-local source', 'wrong-source', inner(ipv4(169, 254, 1, 1), ourHost, 4)],
  ['the IPv4 broadcast source', 'wrong-source', inner(ipv4(255, 255, 255, 255), ourHost, 4)],
  ['no IPv4 source', 'wrong-source', inner(ipv4(0, 0, 0, 0), ourHost, 4)],
  ['an IPv4 header beyond the packet', 'malformed-packet', lying((view) => view.setUint8(0, 0x4f), 4).subarray(0, 40)],
  ['19 octets', 'malformed-packet', inner(theirs, ours).subarray(0, 19)],
  ['hop-by-hop options', 'extension-header', extended(0)],
  ['a routing header', 'extension-header', extended(43)],
  ['destination options', 'extension-header', extended(60)],
  ['an authentication header', 'extension-header', extended(51)],
  ['an experimental header', 'extension-header', extended(253)],
  ['the other experimental header', 'extension-header', extended(254)],
  ['a loose source route', 'extension-header', withOptions(0x83, 7, 4, 10, 1, 0, 77, 0)],
  ['a strict source route', 'extension-header', withOptions(1, 0x89, 7, 4, 10, 1, 0, 77)],
  ['a source route behind another option', 'extension-header', withOptions(0x94, 4, 0, 0, 0x83, 3, 4, 0)],
  ['an IPv4 option of no length', 'extension-header', withOptions(0x94, 0, 0, 0)],
  ['an IPv4 option beyond the header', 'extension-header', withOptions(0x94, 8, 0, 0)],
  ['a fragment of a routing header', 'extension-header', extended(44, 43)],
  ['a fragment of a fragment', 'extension-header', extended(44, 44)],
];

for (const [what, reason, packet] of badPackets) {
  test(`an inner packet of a member with ${what} is dropped as ${reason}`, (t) => {
    const subject = new HostileMember(seededRandom(3));
    subject.receive(subject.seal(0x10, 0, packet));
    t.deepEqual([...dropsOf(subject)], [[reason, 1]]);
    t.is(subject.tun.written.length, 0);
  });
}

test('other options of IPv4, and ESP, pass as they are', (t) => {
  for (const packet of [withOptions(0x94, 4, 0, 0), withOptions(1, 1, 1, 0), extended(50)]) {
    const subject = new HostileMember(seededRandom(3));
    subject.receive(subject.seal(0x10, 0, packet));
    t.deepEqual([...dropsOf(subject)], []);
    t.is(subject.tun.written.length, 1);
  }
});

for (const version of [4, 6] as const) {
  const ip = version === 6 ? 40 : 20;
  const of = (protocol: 'udp' | 'tcp', change: (view: DataView) => void) => {
    const ends = version === 6 ? { source: theirs, destination: ours } : { source: theirHost, destination: ourHost };
    const packet = buildPacket({ version, protocol, ...ends, payload: new Uint8Array(40) });
    change(new DataView(packet.buffer));
    return packet;
  };
  for (const [what, packet] of [
    ['a UDP length too short', of('udp', (view) => view.setUint16(ip + 4, 47))],
    ['a UDP length too long', of('udp', (view) => view.setUint16(ip + 4, 49))],
    ['a TCP header shorter than one', of('tcp', (view) => view.setUint8(ip + 12, 0x10))],
  ] as const) {
    test(`${what} in IPv${version} is our kernel's to judge, and has no sum left open to it`, (t) => {
      const subject = new HostileMember(seededRandom(3));
      subject.receive(subject.seal(0x10, 1, packet));
      t.deepEqual([...dropsOf(subject)], [['checksum-flag', 1]]);
      t.is(subject.tun.written.length, 0);
      subject.receive(subject.seal(0x10, 0, packet));
      t.is(subject.tun.written.length, 1);
      t.deepEqual(subject.tun.written[0]!.subarray(0, 10), new Uint8Array(10), 'nothing is asked of it');
    });
  }
}

test('a newcomer that is only being looked into sends no packet to our kernel, in whose name ever, and to no other node', (t) => {
  const subject = new HostileMember(seededRandom(3), 0);
  subject.plane.apply(
    {
      command: {
        kind: 'patchRoutes',
        nodes: [],
        prefixes: [{ prefix: ipv4(192, 168, 7, 0), length: 120, egress: undefined }],
        removedPrefixes: [],
      },
    },
    subject.now,
  );
  const packets = [
    inner(ours, ours),
    inner(ipv4(192, 168, 7, 1), ipv4(192, 168, 7, 2), 4),
    inner(theirs, ours),
    inner(nodeAddress(network, 9), ours),
  ];
  for (const packet of packets) {
    subject.receive(subject.seal(FrameType.packet, 0, packet));
    for (const destination of [us, 9]) {
      const header = Uint8Array.of(0, 0, destination, 0, 0, 0, 32, 0);
      const relay = subject.seal(FrameType.relay, 0, header);
      subject.receive(concatBytes(relay, subject.seal(FrameType.packet, 0, packet)));
    }
  }
  t.deepEqual([...dropsOf(subject)], [['wrong-source', 3 * packets.length]]);
  t.is(subject.tun.written.length, 0);
  subject.receive(subject.seal(FrameType.control, 0, Uint8Array.of(1)));
  t.is(subject.events.filter(({ kind }) => kind === 'control').length, 1, 'but it may speak');
});

test('a fragment of a member is an ordinary packet, but its sum may not be open', (t) => {
  const subject = new HostileMember(seededRandom(3));
  subject.receive(subject.seal(0x10, 0, extended(44)));
  t.is(subject.tun.written.length, 1);
  subject.receive(subject.seal(0x10, 1, extended(44)));
  t.deepEqual([...dropsOf(subject)], [['checksum-flag', 1]]);
});

test('sixty thousand hostile frames leave no more memory behind than six thousand, and no header of their choosing', (t) => {
  setFlagsFromString('--expose-gc');
  const collect = runInNewContext('gc') as () => void;
  const random = seededRandom(4);
  const subject = new HostileMember(random);
  const attack = (frames: number) => {
    for (let i = 0; i < frames; i++) {
      const packet = innerPacket(random, 'in');
      packet[random.below(packet.length)]! ^= 1 << random.below(8);
      const type = [0x10, 0x10, 0x11, 0x12, 0x13][i % 5]!;
      const frame = subject.seal(type, i % 7 === 0 ? random.below(256) : i & 1, packet);
      if (i % 11 === 0) frame[random.below(frame.length)]! ^= 1;
      subject.receive(frame, i % 3 === 0 ? stranger : undefined);
      for (const written of subject.tun.written.splice(0)) if (!isHarmless(written)) t.fail('a harmful write');
      subject.now.millis += 0.1 * second * (i % 100 === 0 ? 1 : 0);
    }
    subject.events.length = 0;
    collect();
    return process.memoryUsage().heapUsed;
  };
  const before = attack(6000);
  const after = attack(54_000);
  t.true(after - before < 4e6, `${((after - before) / 1e6).toFixed(1)} MB more`);
});
