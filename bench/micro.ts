import { parseIp } from '../src/addr/ip.js';
import { addressOf } from '../src/ffi.js';
import { seededRandom } from '../src/random.js';
import { FrameType, relayHeaderLength } from '../src/tunnel/frame.js';
import { NodeAead } from '../src/tunnel/plane/aead.js';
import { Arena } from '../src/tunnel/plane/arena.js';
import { Cutter } from '../src/tunnel/plane/cut.js';
import { Drops } from '../src/tunnel/plane/drops.js';
import { ForwardingTable } from '../src/tunnel/plane/forwarding-table.js';
import type { Gather } from '../src/tunnel/plane/gather.js';
import { Glue } from '../src/tunnel/plane/glue.js';
import { EvpAead } from '../src/tunnel/plane/linux-evp.js';
import { AddressWords, PacketShape } from '../src/tunnel/plane/packet.js';
import { writeHeader } from '../src/tunnel/plane/transmitter.js';
import { ReplayWindow } from '../src/tunnel/replay-window.js';
import { type Part, tellPart } from './part.js';
import { summary } from './statistics.js';

/** Nanoseconds of the plane's parts, one core: seal, open, cut, glue, replay window, lookup. Medians of five runs. */

const packetLength = 1400;

function measure(what: string, perRound: number, work: () => void, key?: Part['key']): void {
  const runs: number[] = [];
  for (let round = 0; round < 6; round++) {
    const started = process.hrtime.bigint();
    work();
    const nanos = Number(process.hrtime.bigint() - started) / perRound;
    if (round > 0) runs.push(nanos);
  }
  const { median: nanos, least, most } = summary(runs);
  tellPart({ ...(key ? { key } : {}), what, nanos, least, most });
}

const arena = new Arena(addressOf);
const key = new Uint8Array(32).fill(3);
const evp = EvpAead.tryOpen(arena);
const node = new NodeAead(arena);
const rounds = 20_000;
for (const [name, aead] of [
  ['EVP', evp],
  ['node:crypto', node],
] as const) {
  if (!aead) continue;
  for (const cipher of ['aes-256-gcm', 'chacha20-poly1305'] as const) {
    const sealer = aead.sealing(cipher, key);
    const opener = aead.opening(cipher, key);
    let counter = 0;
    measure(`seal ${packetLength} octets, ${cipher}, ${name}`, rounds, () => {
      for (let i = 0; i < rounds; i++) {
        writeHeader(arena.view, arena.outbox, 0x10, 0, 5, counter);
        sealer.seal(arena.outbox, counter++, arena.tunIn, packetLength, 0, 0);
      }
    });
    const frame = arena.bytes.slice(arena.outbox, arena.outbox + 32 + packetLength);
    measure(`open ${packetLength} octets, ${cipher}, ${name}`, rounds, () => {
      for (let i = 0; i < rounds; i++) {
        arena.bytes.set(frame, arena.udpIn);
        if (!opener.open(arena.udpIn, packetLength, 0, 0)) throw new Error('not authentic');
      }
    });
  }
}

if (evp) {
  const [sealer, opener] = [evp.sealing('aes-256-gcm', key), evp.opening('aes-256-gcm', key)];
  let counter = 0;
  measure('pass on: open and seal a relay header', rounds, () => {
    for (let i = 0; i < rounds; i++, counter++) {
      writeHeader(arena.view, arena.outbox, FrameType.relay, 0, 5, counter);
      sealer.seal(arena.outbox, counter, arena.tunIn, relayHeaderLength, 0, 0);
      if (!opener.open(arena.outbox, relayHeaderLength, 0, 0)) throw new Error('not authentic');
    }
  });
}

const superPacket = new Uint8Array(40 + 32 + 45 * 1308);
const view = new DataView(superPacket.buffer);
view.setUint32(0, 0x6000_0000);
view.setUint16(6, 0x0640);
superPacket.set(parseIp('fd00::1')!, 8);
superPacket.set(parseIp('fd00::2')!, 24);
view.setUint16(52, 0x8010);
view.setUint16(4, superPacket.length - 40);
const cutter = new Cutter(arena.bytes);
const segments: Uint8Array[] = [];
arena.bytes.set(superPacket, arena.tunIn);
if (!cutter.begin(arena.tunIn, superPacket.length, 40, false, 1308, true)) throw new Error('not cut');
while (cutter.next()) segments.push(arena.bytes.slice(cutter.at, cutter.at + cutter.length));
measure('cut, a segment', 2000 * segments.length, () => {
  for (let i = 0; i < 2000; i++) {
    arena.bytes.set(superPacket.subarray(0, 72), arena.tunIn);
    cutter.begin(arena.tunIn, superPacket.length, 40, false, 1308, true);
    while (cutter.next());
  }
});

const sink = {
  offload: true,
  tcpSegmentation: true,
  udpSegmentation: true,
  read: () => 0,
  write: (_pieces: Gather) => true,
};
const glue = new Glue(arena, sink, new Drops());
const shape = new PacketShape();
const burst = segments.slice(0, 44);
measure('parse and glue, a segment', 2000 * burst.length, () => {
  for (let i = 0; i < 2000; i++) {
    let at = arena.udpIn + 16;
    for (const segment of burst) {
      if (i === 0) arena.bytes.set(segment, at);
      if (!shape.read(arena.view, at, segment.length)) throw new Error('no packet');
      glue.add(shape, true);
      at += segment.length + 32;
    }
    glue.flush();
    arena.bytes.set(burst[0]!.subarray(0, 72), arena.udpIn + 16);
  }
});

const window = new ReplayWindow(new Int32Array(new SharedArrayBuffer(ReplayWindow.byteLength)));
let next = 0;
measure('replay window, a frame', 1_000_000, () => {
  for (let i = 0; i < 1_000_000; i++) if (!window.mayAccept(next) || !window.accept(next++)) throw new Error('refused');
});

const random = seededRandom(1);
const table = new ForwardingTable();
const keys: Uint8Array[] = [];
for (let i = 0; i < 100_000; i++) {
  const prefix = random.bytes(16);
  prefix[0] = 0x20;
  table.setPrefix({ prefix, length: 32 + random.below(33), egress: 1 + random.below(1000) });
  keys.push(prefix.slice().fill(1, 8));
}
for (let i = keys.length - 1; i > 0; i--) {
  const j = random.below(i + 1);
  [keys[i], keys[j]] = [keys[j]!, keys[i]!];
}
// Read from octets into one object, as from packets: what is measured is the table's memory, not the list's.
const asked = new DataView(new ArrayBuffer(16 * keys.length));
for (const [i, key] of keys.entries()) new Uint8Array(asked.buffer).set(key, 16 * i);
const address = new AddressWords();
let found = 0;
const lookUpAll = () => {
  for (let at = 0; at < asked.byteLength; at += 16) {
    address.read(asked, at);
    if (table.lookup(address) > 0) found++;
  }
};
measure(`lookup among ${table.prefixes} prefixes, addresses at random`, keys.length, lookUpAll, 'lookup');
if (found === 0) throw new Error('nothing found');
