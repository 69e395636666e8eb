import { readFileSync } from 'node:fs';
import test from 'ava';
import { parseIp } from '../../src/addr/ip.js';
import { fromHex } from '../../src/bytes.js';
import { type Random, seededRandom } from '../../src/random.js';
import { PacketReader } from '../../src/routing/codec/packet-reader.js';
import { dropReasons } from '../../src/routing/codec/tlv.js';
import { Network, prefix } from '../routing/network.js';
import { tlvsOf } from '../routing/tlvs.js';

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

/** One to four of the ways a packet goes wrong; half of them keep the header's length true. */
function mutated(packet: Uint8Array, random: Random): Uint8Array {
  let bytes = [...packet];
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
        const other = captures[random.below(captures.length)]!.bytes;
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
    const bytes = mutated(captures[i % captures.length]!.bytes, random);
    t.true(tlvsOf(bytes, parseIp('fe80::1'), reader).length <= bytes.length);
  }
});

test('a speaker that is told mutated captures, on a LAN and in a tunnel, stays within its bounds and goes on', (t) => {
  for (const seed of [1, 2, 3, 4]) {
    const world = new Network(seed, { maxDestinations: 200, maxLanNeighbours: 8, maxPendingRequests: 64 });
    world.node(1);
    world.node(2);
    world.link(1, 2);
    const lan = world.lan();
    world.attach(1, lan);
    const random = seededRandom(seed);
    for (let i = 0; i < 2000; i++) {
      const bytes = mutated(captures[random.below(captures.length)]!.bytes, random);
      if (random.below(2) === 0) world.say(lan, `fe80::${1 + random.below(20)}`, bytes);
      else world.inject(2, 1, bytes);
      if (i % 20 === 0) world.run(random.below(1000));
    }
    const { speaker } = world.nodes.get(1)!;
    t.true(speaker.sizes().destinations <= 200);
    t.true(speaker.sizes().pending <= 64);
    t.true(speaker.neighbours().length <= 9);
    for (const row of speaker.view(world.now)) {
      if (row.selected) t.true(row.feasible && row.metric < 65535);
      if (row.interface !== undefined && row.interface < 1000) t.false(row.selected && row.origin === undefined);
    }
    world.run(3_000_000);
    t.is(world.path(1, 2)?.length, 2, 'the neighbour who speaks truth is still reached');
    t.falsy(world.nodes.get(1)!.routes.get(prefix('203.0.113.1/32').key)?.choices.length);
  }
});
