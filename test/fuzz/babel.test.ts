import { readFileSync } from 'node:fs';
import test from 'ava';
import { parseIp } from '../../src/addr/ip.js';
import { nodePrefix } from '../../src/addr/node-number.js';
import { fromHex } from '../../src/bytes.js';
import { type Random, seededRandom } from '../../src/random.js';
import { signedOctets } from '../../src/routing/admission.js';
import { PacketReader } from '../../src/routing/codec/packet-reader.js';
import { PacketWriter } from '../../src/routing/codec/packet-writer.js';
import { dropReasons } from '../../src/routing/codec/tlv.js';
import { Hand } from '../routing/hand.js';
import { Network, overlay, prefix, signAs } from '../routing/network.js';
import { packet, tlvsOf } from '../routing/tlvs.js';

/** Packets the real babeld and BIRD sent each other: start, tables of two families, timestamps, withdrawal, stop. */
const captures = (
  JSON.parse(readFileSync('test/vectors/babel-captures.json', 'utf8')) as { from: string; packet: string }[]
).map(({ from, packet }) => ({ from, bytes: fromHex(packet)! }));

test('every packet of babeld and BIRD is read whole', (t) => {
  const reader = new PacketReader();
  let updates = 0;
  for (const { from, bytes } of captures) {
    const lines = tlvsOf(bytes, parseIp('fe80::1'), reader);
    t.true(lines.length > 0, from);
    updates += lines.filter((line) => line.startsWith('update')).length;
  }
  t.true(updates > 100, `${updates}`);
  t.deepEqual(
    dropReasons.filter((_, i) => reader.drops[i]! > 0),
    [],
  );
});

/** What no daemon said while it was captured: acknowledgements, unicast Hellos, IPv4 via IPv6, requests with hops left. */
const unheardOf: readonly Uint8Array[] = [
  packet('0206 0000 0007 0064 0302 0007 0406 8000 0001 0000 0206 0000 0008 0001'),
  packet(
    '060a 0000 0102030405060708 080d 04801800 0640 0001 0010 c63364 080b 04001802 0640 0002 0020 65 0406 8000 0002 0190',
  ),
  packet('060a 0000 0102030405060708 0712 0200 20010db8000000000000000000000009 080d 04001800 0640 0001 0010 cb0071'),
  packet(
    '0a12 0120 9a9c 4000 cc0c4bcdb9f05a28 c0000201 0a1e 0280 9a9b 0300 cc0c4bcdb9f05a28 fd00000a000100000000000000000001 0902 0000',
  ),
];

/** What node 2 is granted, and says in its tunnel of some prefixes behind it: all of it signed, not all of it granted. */
const granted = ['198.51.100.0/24', 'fd00:a::/32'].map(prefix);
const signed = ['198.51.100.1/32', '198.51.100.128/25', 'fd00:a:1::/48', '203.0.113.1/32'].map((text, i) => {
  const { bytes, length } = prefix(text);
  const [routerIdHigh, routerIdLow, seqno] = [0x700, 9, i + 1];
  const signature = signAs(2, signedOctets(prefix(text), routerIdHigh, routerIdLow, seqno, 2));
  const fields = { prefix: bytes, prefixLength: length, routerIdHigh, routerIdLow, seqno, metric: 0, interval: 6000 };
  const writer = new PacketWriter(1200);
  writer.update({ ...fields, egress: 2, signature });
  return writer.finish();
});

const packets = [...captures.map(({ bytes }) => bytes), ...unheardOf, ...signed];

test('and so is what is said by hand beside them, of the kinds that are missing there', (t) => {
  const reader = new PacketReader();
  const lines = [...unheardOf, ...signed].flatMap((bytes) => tlvsOf(bytes, parseIp('fe80::1'), reader));
  for (const start of [
    'ackRequest',
    'ack ',
    'hello unicast',
    'update 198.51.101.0/24',
    'seqnoRequest',
    'routeRequest *',
  ]) {
    t.true(
      lines.some((line) => line.startsWith(start)),
      start,
    );
  }
  t.is(lines.filter((line) => line.includes(' egress 2 signed ')).length, signed.length);
  t.true(reader.drops.every((count) => count === 0));
});

/** One to four of the ways a packet goes wrong; half of them keep the header's length true. */
function mutated(whole: Uint8Array, random: Random): Uint8Array {
  let bytes = [...whole];
  for (let i = 1 + random.below(4); i > 0; i--) {
    const at = 4 + random.below(Math.max(1, bytes.length - 4));
    switch (random.below(6)) {
      case 0:
        bytes[at] = random.below(256);
        break;
      case 1:
        bytes[at] = (bytes[at] ?? 0) ^ (1 << random.below(8));
        break;
      case 2:
        bytes.splice(at, 1 + random.below(8));
        break;
      case 3:
        bytes.splice(at, 0, ...random.bytes(1 + random.below(8)));
        break;
      case 4: {
        const other = packets[random.below(packets.length)]!;
        bytes = [...bytes.slice(0, at), ...other.slice(4 + random.below(other.length - 4))];
        break;
      }
      default:
        bytes[at] = [0, 1, 0x7f, 0x80, 0xff][random.below(5)]!;
    }
  }
  if (random.below(2) === 0 && bytes.length >= 4) {
    bytes[2] = (bytes.length - 4) >> 8;
    bytes[3] = (bytes.length - 4) & 0xff;
  }
  return Uint8Array.from(bytes);
}

test('mutated captures are read without a throw, in one pass', (t) => {
  const random = seededRandom(8966);
  const reader = new PacketReader();
  for (let i = 0; i < 40_000; i++) {
    const bytes = mutated(packets[i % packets.length]!, random);
    t.true(tlvsOf(bytes, parseIp('fe80::1'), reader).length <= bytes.length);
  }
});

test('a speaker that is told mutated captures, on a LAN and in a tunnel, stays within its bounds and goes on', (t) => {
  for (const seed of [1, 2, 3, 4]) {
    const bounds = { maxDestinations: 60, maxLanNeighbours: 8, maxPendingRequests: 8 };
    const world = new Network(seed, bounds);
    for (const number of [1, 2]) world.node(number).authority.grantsOf.set(2, granted);
    world.link(1, 2);
    const lan = world.lan();
    world.attach(1, lan, { exports: granted });
    const random = seededRandom(seed);
    const { speaker } = world.nodes.get(1)!;
    const hands = Array.from({ length: 20 }, (_, i) => new Hand(world, lan, `fe80::${(i + 1).toString(16)}`));
    const most = { reachable: 0, onLan: 0, inTunnel: 0, pending: 0, destinations: 0, neighbours: 0 };
    const look = () => {
      const { pending, destinations } = speaker.sizes();
      const neighbours = speaker.neighbours();
      const selected = speaker.view(world.now).filter((row) => row.selected && row.interface !== undefined);
      for (const row of selected) t.true(row.feasible && row.metric < 65535);
      const isTunnel = (id: number | undefined) => id === world.interfaceOf(1, 2);
      const foreign = selected.filter((row) => row.origin === undefined);
      const inTunnel = foreign.filter((row) => isTunnel(row.interface));
      for (const { prefix: one, egress } of inTunnel) {
        t.true(egress === 2 && granted.some((grant) => grant.isIpv4 === one.isIpv4 && grant.covers(one)), `${one}`);
      }
      const now = {
        reachable: neighbours.filter(({ cost, interface: id }) => cost < 65535 && !isTunnel(id)).length,
        onLan: foreign.length - inTunnel.length,
        inTunnel: inTunnel.length,
        pending,
        destinations,
        neighbours: neighbours.length,
      };
      for (const key of Object.keys(now) as (keyof typeof now)[]) most[key] = Math.max(most[key], now[key]);
    };
    for (let i = 0; i < 2000; i++) {
      // Hellos of strange numbers make a neighbour begin anew: greetings, and a new tunnel, have it believed again.
      if (i % 20 === 0) for (const hand of hands) hand.greet();
      if (i % 200 === 0) {
        world.heal(1, 2);
        world.run(100);
      }
      const whole = packets[random.below(packets.length)]!;
      const bytes = random.below(8) === 0 ? whole : mutated(whole, random);
      const [from, onLan] = [random.below(20), random.below(2) === 0];
      if (onLan) world.say(lan, hands[from]!.address, bytes);
      else world.inject(2, 1, bytes);
      look();
      if (i % 20 === 0) world.run(random.below(1000));
    }
    t.true(most.onLan > 10 && most.inTunnel > 0, `seed ${seed}: ${JSON.stringify(most)}`);
    t.true(most.pending > 4 && most.pending <= 8, `${most.pending} requests`);
    t.true(most.destinations > 50 && most.destinations <= 60, `${most.destinations} destinations`);
    t.deepEqual([most.reachable, most.neighbours], [8, 9], 'and the tunnel’s');
    world.run(3_000_000);
    t.is(world.path(1, 2)?.length, 2, 'the neighbour who speaks truth is still reached');
    const left = [...world.nodes.get(1)!.routes.values()].filter(({ choices }) => choices.length > 0);
    t.deepEqual(
      left.map((route) => String(route.prefix)),
      [String(nodePrefix(overlay, 2))],
      'all else is forgotten',
    );
  }
});
