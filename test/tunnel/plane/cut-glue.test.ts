import test from 'ava';
import fc from 'fast-check';
import { parseIp } from '../../../src/addr/ip.js';
import { Arena } from '../../../src/tunnel/plane/arena.js';
import { Cutter } from '../../../src/tunnel/plane/cut.js';
import { Drops } from '../../../src/tunnel/plane/drops.js';
import { Glue } from '../../../src/tunnel/plane/glue.js';
import { PacketShape } from '../../../src/tunnel/plane/packet.js';
import { QueueTun } from '../../../src/tunnel/plane/queue-ports.js';
import { buildPacket, isSound, type PacketSpec, segmentsOf } from './packets.js';

const ends = {
  6: { source: parseIp('fd00::1')!, destination: parseIp('fd00::2')! },
  4: { source: parseIp('10.0.0.1')!, destination: parseIp('10.0.0.2')! },
};

const specs: fc.Arbitrary<PacketSpec> = fc
  .record({
    version: fc.constantFrom<4 | 6>(4, 6),
    protocol: fc.constantFrom<'tcp' | 'udp'>('tcp', 'udp'),
    length: fc.oneof(fc.nat(3000), fc.integer({ min: 0, max: 60_000 })),
    flags: fc.constantFrom(0x10, 0x18, 0x11, 0x90, 0x50),
    options: fc.constantFrom(0, 12, 40),
    sequence: fc.constantFrom(1, 0xffff_f000, 0x7fff_ffff),
    octet: fc.nat(255),
  })
  .map(({ length, options, octet, ...rest }) => ({
    ...rest,
    ...ends[rest.version],
    payload: Uint8Array.from({ length }, (_, i) => (octet + i * 7 + (i >> 8)) & 0xff),
    tcpOptions: new Uint8Array(options).fill(1),
    open: true,
  }));

/** Cuts the packet; copies of the segments. */
function cut(spec: PacketSpec, size: number, openSums: boolean): Uint8Array[] {
  const arena = new Arena();
  const packet = buildPacket(spec);
  arena.bytes.set(packet, arena.tunIn + 10);
  const cutter = new Cutter(arena.bytes);
  const ip = spec.version === 6 ? 40 : 20;
  if (!cutter.begin(arena.tunIn + 10, packet.length, ip, spec.protocol === 'udp', size, openSums)) return [];
  const segments: Uint8Array[] = [];
  const { count, longest } = cutter;
  while (cutter.next()) segments.push(arena.bytes.slice(cutter.at, cutter.at + cutter.length));
  const lengths = segments.map((segment) => segment.length);
  if (count !== segments.length || longest !== Math.max(...lengths)) throw new Error('the cutter foretold wrongly');
  return segments;
}

/** The slow oracle: each segment built from scratch. */
function expected(spec: PacketSpec, size: number, open: boolean): Uint8Array[] {
  const pieces: Uint8Array[] = [];
  const count = Math.max(1, Math.ceil(spec.payload.length / size));
  for (let i = 0; i < count; i++) {
    const last = i === count - 1;
    let flags = spec.flags ?? 0x10;
    if (!last) flags &= ~0x09;
    if (i > 0) flags &= ~0x80;
    const piece = buildPacket({
      ...spec,
      open,
      flags,
      sequence: ((spec.sequence ?? 1) + i * size) >>> 0,
      payload: spec.payload.subarray(i * size, (i + 1) * size),
    });
    if (spec.version === 4) {
      const view = new DataView(piece.buffer);
      const identification = (view.getUint16(4) + i) & 0xffff;
      view.setUint16(4, identification);
      view.setUint16(10, 0);
      let sum = 0;
      for (let at = 0; at < 20; at += 2) sum += view.getUint16(at);
      while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
      view.setUint16(10, ~sum & 0xffff);
    }
    pieces.push(piece);
  }
  return pieces;
}

/** An open field holds the super-packet's pseudo sum, which means nothing in a segment: leave it out of comparisons. */
function withoutSum(spec: PacketSpec, packet: Uint8Array): Uint8Array {
  const copy = new Uint8Array(packet);
  const at = (spec.version === 6 ? 40 : 20) + (spec.protocol === 'tcp' ? 16 : 6);
  copy.fill(0, at, at + 2);
  return copy;
}

test('a super-packet is cut into the segments that a host would have sent', (t) => {
  fc.assert(
    fc.property(specs, fc.integer({ min: 500, max: 1400 }), fc.boolean(), (spec, size, open) => {
      const segments = cut(spec, size, open);
      const wanted = expected(spec, size, open);
      t.is(segments.length, wanted.length);
      segments.forEach((segment, i) => {
        if (open) t.deepEqual(withoutSum(spec, segment), withoutSum(spec, wanted[i]!));
        else {
          t.deepEqual(segment, wanted[i]);
          t.true(isSound(segment));
        }
      });
    }),
    { numRuns: 60, seed: 3 },
  );
});

/** Feeds segments to the glue as if each had been opened behind a transport header; what was written. */
function glue(
  segments: readonly Uint8Array[],
  open: boolean,
  kind: { offload: boolean; segmentation: boolean },
): Uint8Array[] {
  const arena = new Arena();
  const tun = new QueueTun(arena, {
    offload: kind.offload,
    tcpSegmentation: kind.segmentation,
    udpSegmentation: kind.segmentation,
  });
  const subject = new Glue(arena, tun, new Drops());
  const shape = new PacketShape();
  let at = arena.udpIn;
  for (const segment of segments) {
    if (at + 32 + segment.length > arena.udpIn + arena.udpInLength) {
      subject.flush();
      at = arena.udpIn;
    }
    arena.bytes.set(segment, at + 16);
    if (!shape.read(arena.view, at + 16, segment.length)) throw new Error('not a packet');
    subject.add(shape, open);
    at += 32 + segment.length;
  }
  subject.flush();
  return tun.written;
}

test('what is cut and glued is what was there, with sums that a slow reference accepts', (t) => {
  fc.assert(
    fc.property(specs, fc.integer({ min: 500, max: 1300 }), fc.boolean(), (spec, size, segmentation) => {
      const written = glue(cut(spec, size, true), true, { offload: true, segmentation });
      const segments = written.flatMap(segmentsOf);
      t.deepEqual(segments, expected(spec, size, false));
      t.true(segments.every(isSound));
    }),
    { numRuns: 60, seed: 4 },
  );
});

test('a burst of one TCP flow is one write; without offload every packet is written whole and summed', (t) => {
  const spec: PacketSpec = { version: 6, protocol: 'tcp', ...ends[6], payload: new Uint8Array(20_000), open: true };
  const segments = cut(spec, 1308, true);
  t.is(glue(segments, true, { offload: true, segmentation: true }).length, 1);
  const whole = glue(segments, true, { offload: false, segmentation: false });
  t.is(whole.length, segments.length);
  t.true(whole.every((packet) => isSound(packet.slice(10)) && packet[0] === 0));
});

test('segments that do not follow each other are not glued', (t) => {
  const base: PacketSpec = { version: 6, protocol: 'tcp', ...ends[6], payload: new Uint8Array(1000), open: true };
  const next = { ...base, sequence: 1001 };
  const others: readonly PacketSpec[] = [
    { ...next, sequence: 1002 },
    { ...next, sourcePort: 9 },
    { ...next, flags: 0x12 },
    { ...next, destination: parseIp('fd00::3')! },
    { ...next, tcpOptions: new Uint8Array(12).fill(1) },
    { ...next, payload: new Uint8Array(1001) },
    { ...next, protocol: 'udp' },
    { ...next, payload: new Uint8Array(0) },
  ];
  for (const other of others) {
    const written = glue([buildPacket(base), buildPacket(other)], true, { offload: true, segmentation: true });
    t.is(written.length, 2);
  }
  t.is(glue([buildPacket(base), buildPacket(next)], true, { offload: true, segmentation: true }).length, 1);
});

test('a group ends behind a push and behind a shorter segment', (t) => {
  const base: PacketSpec = { version: 4, protocol: 'tcp', ...ends[4], payload: new Uint8Array(1000), open: true };
  const at = (sequence: number, flags: number, length: number) =>
    buildPacket({ ...base, sequence, flags, payload: new Uint8Array(length) });
  const kinds = { offload: true, segmentation: true };
  t.is(glue([at(1, 0x10, 1000), at(1001, 0x18, 1000), at(2001, 0x10, 1000)], true, kinds).length, 2);
  t.is(glue([at(1, 0x10, 1000), at(1001, 0x10, 900), at(1901, 0x10, 900)], true, kinds).length, 2);
});

test('what the virtio header says comes from the packet: sizes, start and offset are those of its headers', (t) => {
  for (const [version, protocol, start, offset, kind] of [
    [6, 'tcp', 40, 16, 4],
    [4, 'tcp', 20, 16, 1],
    [6, 'udp', 40, 6, 5],
    [4, 'udp', 20, 6, 5],
  ] as const) {
    const spec: PacketSpec = { version, protocol, ...ends[version], payload: new Uint8Array(3000), open: true };
    const [written] = glue(cut(spec, 1000, true), true, { offload: true, segmentation: true });
    const view = new DataView(written!.buffer);
    t.deepEqual(
      [written![0], written![1], view.getUint16(4, true), view.getUint16(6, true), view.getUint16(8, true)],
      [1, kind, 1000, start, offset],
    );
  }
});
