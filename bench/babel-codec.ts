import { parseIp } from '../src/addr/ip.js';
import { PacketReader } from '../src/routing/codec/packet-reader.js';
import { PacketWriter } from '../src/routing/codec/packet-writer.js';

/**
 * How many Babel updates one core decodes and encodes a second: a full table of a thousand nodes, one /64 and one
 * router-id each, in packets of a tunnel. `node dist/bench/babel-codec.js` prints one JSON line.
 */
function tablePackets(nodes: number): Uint8Array[] {
  const writer = new PacketWriter(1232);
  const packets: Uint8Array[] = [];
  for (let node = 1; node <= nodes; node++) {
    const prefix = parseIp('fd12:3456:7800::')!;
    prefix.set([node >> 16, (node >> 8) & 255, node & 255], 5);
    const fields = {
      prefix,
      prefixLength: 64,
      routerIdHigh: node << 8,
      routerIdLow: 1,
      seqno: node & 0xffff,
      metric: node % 5000,
      interval: 30000,
    };
    if (!writer.update(fields)) {
      packets.push(writer.finish());
      writer.update(fields);
    }
  }
  packets.push(writer.finish());
  return packets;
}

const packets = tablePackets(1000);
const octets = packets.reduce((sum, packet) => sum + packet.length, 0);
const from = parseIp('fe80::1')!;
const reader = new PacketReader();

function decodeAll(rounds: number): { updates: number; sum: number } {
  let updates = 0;
  let sum = 0;
  for (let round = 0; round < rounds; round++) {
    for (const packet of packets) {
      reader.open(packet, from);
      for (let kind = reader.next(); kind !== 'end'; kind = reader.next()) {
        if (kind === 'update') {
          updates++;
          sum += reader.metric + reader.prefix[7]!;
        }
      }
    }
  }
  return { updates, sum };
}

/** Of processor time, so that a busy machine does not count. */
function perSecond(work: (rounds: number) => number, rounds: number): number {
  work(200);
  const before = process.cpuUsage();
  const done = work(rounds);
  const { user, system } = process.cpuUsage(before);
  return Math.round((done / (user + system)) * 1e6);
}

const decoded = perSecond((rounds) => decodeAll(rounds).updates, 4000);
const encoded = perSecond((rounds) => {
  for (let i = 0; i < rounds; i++) tablePackets(1000);
  return rounds * 1000;
}, 500);
console.log(
  JSON.stringify({
    what: 'babel-codec',
    updatesDecodedPerSecond: decoded,
    updatesEncodedPerSecond: encoded,
    octetsPerUpdate: octets / 1000,
  }),
);
