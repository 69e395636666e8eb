import { readFileSync } from 'node:fs';
import test from 'ava';
import fc from 'fast-check';
import { parseIp } from '../../src/addr/ip.js';
import { Prefix, parsePrefix } from '../../src/addr/prefix.js';
import { concatBytes, toHex } from '../../src/bytes.js';
import { PacketReader } from '../../src/routing/codec/packet-reader.js';
import { PacketWriter } from '../../src/routing/codec/packet-writer.js';
import { type DropReason, dropReasons } from '../../src/routing/codec/tlv.js';
import { routerIdFrom } from '../../src/routing/router-id.js';
import { isNewer, seqnoDistance } from '../../src/routing/seqno.js';
import { dropsOf, hex, packet, tlvsOf } from './tlvs.js';

interface Vector {
  readonly name: string;
  readonly packet: string;
  readonly tlvs: readonly string[];
}
const vectors = JSON.parse(readFileSync('test/vectors/babel.json', 'utf8')) as Vector[];

for (const vector of vectors) {
  test(`golden: ${vector.name}`, (t) => {
    t.deepEqual(tlvsOf(hex(vector.packet)), [...vector.tlvs]);
  });

  test(`cut at every octet: ${vector.name}`, (t) => {
    const bytes = hex(vector.packet);
    for (let length = 0; length < bytes.length; length++) {
      t.deepEqual(tlvsOf(bytes.slice(0, length)), ['refused'], 'the length promises more than came');
      if (length < 4) continue;
      const shortened = packet(bytes.slice(4, length));
      const seen = tlvsOf(shortened);
      t.deepEqual(seen, vector.tlvs.slice(0, seen.length));
    }
  });

  test(`padding changes nothing: ${vector.name}`, (t) => {
    const body = hex(vector.packet).slice(4);
    const parts: Uint8Array[] = [];
    for (let at = 0; at < body.length; at += 2 + body[at + 1]!) {
      parts.push(hex('00'), hex('0100'), hex('0103ffffff'), body.slice(at, at + 2 + body[at + 1]!));
    }
    const padded = packet(concatBytes(...parts, hex('0000')));
    t.deepEqual(tlvsOf(padded), [...vector.tlvs]);
    t.deepEqual(dropsOf(padded), dropsOf(hex(vector.packet)), 'nothing is counted either');
  });
}

const bytesOf = (prefix: string) => {
  const { bytes, length } = parsePrefix(prefix)!;
  return { prefix: bytes, prefixLength: length };
};
const own = { routerIdHigh: 0x700, routerIdLow: 1, seqno: 5, interval: 30_000 };
const lan = { routerIdHigh: 0x01020304, routerIdLow: 0x05060708, seqno: 1, metric: 0, interval: 1600 };

/** How our writer comes to the packets of the vectors. */
const written: Readonly<Record<string, (writer: PacketWriter) => void>> = {
  'empty body': () => {},
  'scheduled hello': (w) => w.hello(1, 400),
  'hello with a transmit timestamp': (w) => w.hello(42, 400, 0xffff),
  'unicast hello': (w) => w.hello(1, 0, undefined, true),
  'ihu to a link-local address with both timestamps': (w) => w.ihu(parseIp('fe80::1')!, 96, 1200, [10, 11]),
  'ihu without an address': (w) => w.ihu(undefined, 96, 1200),
  'acknowledgement request and acknowledgement': (w) => {
    w.ackRequest(0x1234, 100);
    w.ack(0xabcd);
  },
  'router-id, then two updates, of which the second leaves out seven octets': (w) => {
    w.update({ ...own, ...bytesOf('fd12:3456:7800:7::/64'), metric: 96 });
    w.update({ ...own, ...bytesOf('fd12:3456:7800:8::/64'), metric: 97 });
  },
  'IPv4 with its next hop, and IPv4 by the IPv6 next hop': (w) => {
    w.update({ ...lan, ...bytesOf('203.0.113.0/24'), nextHop4: parseIp('192.0.2.1')! });
    w.update({ ...lan, ...bytesOf('198.51.100.0/24') });
  },
  'retraction of everything': (w) => w.wildcardRetraction(),
  'route requests, for one prefix and for all': (w) => {
    const { prefix, prefixLength } = bytesOf('fd12:3456:7800::/40');
    w.routeRequest(prefix, prefixLength);
    w.wildcardRequest();
  },
  'seqno request': (w) => {
    const { prefix, prefixLength } = bytesOf('fd12:3456:7800:7::/64');
    w.seqnoRequest(prefix, prefixLength, 6, 64, 0x700, 1);
  },
  'origin signature, shortened to four octets': (w) =>
    w.update({ ...own, ...bytesOf('fd12:3456:7800:7::/64'), metric: 96, signature: hex('01020304') }),
  'egress, signed': (w) =>
    w.update({
      ...lan,
      ...bytesOf('192.0.2.0/24'),
      interval: 30_000,
      metric: 96,
      egress: 7,
      signature: hex('01020304'),
    }),
};

/** Only others say this: we always name the router-id, and leave out all that may be. */
const onlyRead = [
  'router-id taken from the address of a host route',
  "router-id, then an update of a node's /64, then one that leaves out five octets",
];

for (const { name, packet: golden } of vectors.filter((vector) => !onlyRead.includes(vector.name))) {
  test(`written: ${name}`, (t) => {
    const writer = new PacketWriter(1200);
    written[name]!(writer);
    t.is(toHex(writer.finish()), golden.replace(/\s/g, ''));
  });
}

test('a sequence number has an order, except across exactly half the ring', (t) => {
  t.true(isNewer(1, 0));
  t.true(isNewer(0, 65535));
  t.false(isNewer(65535, 0));
  t.false(isNewer(7, 7));
  t.true(isNewer(0x7fff, 0));
  t.false(isNewer(0x8000, 0));
  t.false(isNewer(0, 0x8000));
  t.is(seqnoDistance(0, 65535), 1);
  t.is(seqnoDistance(65535, 0), -1);
});

const v6 = fc
  .tuple(fc.uint8Array({ minLength: 16, maxLength: 16 }), fc.integer({ min: 0, max: 128 }))
  .map(([bytes, length]) => new Prefix(bytes, length))
  .filter((prefix) => !prefix.isIpv4);
const near = fc.tuple(fc.integer({ min: 0, max: 0xffffff }), fc.constantFrom(64, 80, 128)).map(([number, length]) => {
  const bytes = new Uint8Array(parseIp('fd12:3456:7800::1')!);
  bytes.set([number >> 16, (number >> 8) & 255, number & 255], 5);
  return new Prefix(bytes, length);
});
const v4 = fc
  .tuple(fc.uint8Array({ minLength: 4, maxLength: 4 }), fc.integer({ min: 0, max: 32 }))
  .map(([bytes, length]) => new Prefix(concatBytes(parseIp('0.0.0.0')!.slice(0, 12), bytes), 96 + length));

const route = fc.record({
  prefix: fc.oneof(v6, near, v4),
  high: fc.integer({ min: 1, max: 3 }),
  low: fc.nat(),
  seqno: fc.integer({ min: 0, max: 0xffff }),
  metric: fc.oneof(fc.integer({ min: 0, max: 0xffff }), fc.constant(0xffff)),
  interval: fc.integer({ min: 1, max: 0xffff }),
  nextHop4: fc.option(fc.constantFrom(parseIp('192.0.2.7')!, parseIp('192.0.2.8')!), { nil: undefined }),
  egress: fc.option(fc.integer({ min: 0, max: 0xffffff }), { nil: undefined }),
  signature: fc.option(fc.uint8Array({ minLength: 1, maxLength: 64 }), { nil: undefined }),
});

test('what was written is read, whatever the compression and however many packets', (t) => {
  fc.assert(
    fc.property(fc.array(route, { maxLength: 200 }), fc.integer({ min: 512, max: 1400 }), (routes, limit) => {
      const writer = new PacketWriter(limit);
      const packets: Uint8Array[] = [];
      for (const { prefix, high, low, ...rest } of routes) {
        const fields = {
          ...rest,
          prefix: prefix.bytes,
          prefixLength: prefix.length,
          routerIdHigh: high,
          routerIdLow: low,
        };
        if (!writer.update(fields)) {
          packets.push(writer.finish());
          t.true(writer.update(fields));
        }
      }
      packets.push(writer.finish());
      const expected = routes.map((r) => {
        if (r.metric === 0xffff) return `retract ${r.prefix}`;
        const via = r.prefix.isIpv4 && r.nextHop4 ? r.nextHop4.subarray(12).join('.') : 'fe80::1';
        const egress = r.egress === undefined ? '' : ` egress ${r.egress}`;
        const signed = r.signature === undefined ? '' : ` signed ${toHex(r.signature)}`;
        return `update ${r.prefix} id ${routerIdFrom(r.high, r.low)} seqno ${r.seqno} metric ${r.metric} every ${r.interval} via ${via}${egress}${signed}`;
      });
      for (const bytes of packets) t.true(bytes.length <= limit);
      t.deepEqual(
        packets.flatMap((bytes) => tlvsOf(bytes)),
        expected,
      );
    }),
    { seed: 8966, numRuns: 200 },
  );
});

test('every other TLV is read as it was written', (t) => {
  const writer = new PacketWriter(1200);
  const prefix = parsePrefix('10.1.0.0/16')!;
  writer.ackRequest(7, 20);
  writer.hello(9, 2000, 123456);
  writer.hello(10, 0, undefined, true);
  writer.ihu(parseIp('fe80::1:2')!, 300, 6000, [1, 2]);
  writer.ihu(undefined, 65535, 6000);
  writer.ack(8);
  writer.wildcardRetraction();
  writer.wildcardRequest();
  writer.routeRequest(prefix.bytes, prefix.length);
  writer.seqnoRequest(prefix.bytes, prefix.length, 5, 64, 1, 2);
  t.deepEqual(tlvsOf(writer.finish()), [
    'ackRequest 7 within 20',
    'hello 9 every 2000 stamp 123456',
    'hello unicast 10 every 0',
    'ihu fe80::1:2 rxcost 300 every 6000 stamp 1 2',
    'ihu you rxcost 65535 every 6000',
    'ack 8',
    'retract *',
    'routeRequest *',
    'routeRequest 10.1.0.0/16',
    'seqnoRequest 10.1.0.0/16 id 0000000100000002 seqno 5 hops 64',
  ]);
  t.true(writer.isEmpty);
});

/** One of each TLV that may hold sub-TLVs and is acted on, with what is read of it. */
const ofEachType: readonly (readonly [what: string, tlv: string, line: string])[] = [
  ['Acknowledgement Request', '0206 0000 0007 0064', 'ackRequest 7 within 100'],
  ['Acknowledgement', '0302 0007', 'ack 7'],
  ['Hello', '0406 0000 0001 0190', 'hello 1 every 400'],
  ['unicast Hello', '0406 8000 0001 0000', 'hello unicast 1 every 0'],
  ['IHU', '050e 0300 0060 04b0 0000000000000001', 'ihu fe80::1 rxcost 96 every 1200'],
  ['IHU without an address', '0506 0000 0060 04b0', 'ihu you rxcost 96 every 1200'],
  [
    'Update',
    '0812 02004000 0640 0001 0010 fd00000000000001',
    'update fd00:0:0:1::/64 id 0102030405060708 seqno 1 metric 16 every 1600 via fe80::1',
  ],
  ['retraction', '0812 02004000 0640 0001 ffff fd00000000000001', 'retract fd00:0:0:1::/64'],
  ['retraction of everything', '080a 00000000 ffff 0000 ffff', 'retract *'],
  ['Route Request', '090a 0240 fd00000000000001', 'routeRequest fd00:0:0:1::/64'],
  ['Route Request for all', '0902 0000', 'routeRequest *'],
  [
    'Seqno Request',
    '0a16 0240 0002 4000 0102030405060708 fd00000000000001',
    'seqnoRequest fd00:0:0:1::/64 id 0102030405060708 seqno 2 hops 64',
  ],
];

/** The TLV with sub-TLVs. */
function longer(tlv: string, subs: string): Uint8Array {
  const octets = concatBytes(hex(tlv), hex(subs));
  octets[1] = octets.length - 2;
  return octets;
}

const mandatories = ['8000', 'ff00', '8002 abcd', '7f00 8000', '00 c800'];
const routerId = '060a 0000 0102030405060708';

test('an unknown sub-TLV that is mandatory has its TLV ignored, whichever it is; another does not', (t) => {
  const behind = hex('0406 0000 0063 0190');
  for (const [what, tlv, line] of ofEachType) {
    const read = (subs: string) => packet(concatBytes(hex(routerId), longer(tlv, subs), behind));
    for (const optional of ['7f00', '7f02 abcd', '00', '0102 0000']) {
      t.deepEqual(tlvsOf(read(optional)), [line, 'hello 99 every 400'], `${what}, ${optional}`);
    }
    for (const mandatory of mandatories) {
      t.deepEqual(tlvsOf(read(mandatory)), ['hello 99 every 400'], `${what}, ${mandatory}`);
      t.deepEqual(dropsOf(read(mandatory)), { 'mandatory-sub-tlv': 1 }, `${what}, ${mandatory}`);
    }
  }
});

test('a TLV ignored for a mandatory sub-TLV sets the parser’s state all the same', (t) => {
  const ipv6 = '0812 02004000 0640 0001 0010 fd00000000000001';
  const ipv4 = '080d 01001800 0640 0001 0010 c63364';
  const id = 'id 0102030405060708 seqno 1 metric 16 every 1600';
  for (const [setter, then, line] of [
    [routerId, ipv6, `update fd00:0:0:1::/64 ${id} via fe80::1`],
    ['0706 0100 c0000209', routerId + ipv4, `update 198.51.100.0/24 ${id} via 192.0.2.9`],
    ['0712 0200 20010db8000000000000000000000009', routerId + ipv6, `update fd00:0:0:1::/64 ${id} via 2001:db8::9`],
    ['070a 0300 0000000000000009', routerId + ipv6, `update fd00:0:0:1::/64 ${id} via fe80::9`],
    [
      '0812 02804000 0640 0001 0010 fd00000000000001',
      `${routerId} 080b 02004007 0640 0001 0010 02`,
      `update fd00:0:0:2::/64 ${id} via fe80::1`,
    ],
    ['081a 02408000 0640 0001 0010 20010db8000000000102030405060708', ipv6, `update fd00:0:0:1::/64 ${id} via fe80::1`],
  ] as const) {
    for (const mandatory of mandatories) {
      t.deepEqual(tlvsOf(packet(concatBytes(longer(setter, mandatory), hex(then)))), [line], `${setter} ${mandatory}`);
    }
  }
});

test('what a malformed TLV would have set is unknown, and nothing else', (t) => {
  const [r, p] = ['update fd00:0:0:1::/64', 'update fd00:0:0:2::/64'];
  const [v4, via4] = ['update 198.51.100.0/24', 'update 198.51.101.0/24'];
  const whole = '060a 0000 0102030405060708 0706 0100 c0000209 0712 0200 20010db8000000000000000000000009';
  const defaults =
    '0812 02804000 0640 0001 0010 fd00000000000001 080d 01801800 0640 0001 0010 c63364 080d 04801800 0640 0001 0010 cb0071';
  const first = [r, v4, 'update 203.0.113.0/24'];
  // Each leans on one thing: router-id and next hop, then the default prefixes of IPv6, IPv4 and IPv4 via IPv6.
  const leaning =
    '0812 02004000 0640 0001 0010 fd00000000000001 080d 01001800 0640 0001 0010 c63364 ' +
    '080b 02004007 0640 0001 0010 02 080b 01001802 0640 0001 0010 65 080b 04001802 0640 0001 0010 72';
  const via6 = 'update 203.0.114.0/24';
  const all = [r, v4, p, via4, via6];
  const readOf = (malformed: string) => {
    const lines = tlvsOf(packet(`${whole} ${defaults} ${malformed} ${leaning}`));
    t.deepEqual(
      lines.slice(0, 3).map((line) => line.split(' id ')[0]!),
      first,
    );
    return lines.slice(3).map((line) => line.split(' id ')[0]!);
  };
  for (const [malformed, seen] of [
    ['', all],
    // A prefix length beyond the address: without flags, with the router-id's, with the prefix's of each encoding.
    ['080a 02008100 0640 0001 0010', all],
    ['080a 02408100 0640 0001 0010', []],
    ['080a 01402100 0640 0001 0010', []],
    ['080a 02808100 0640 0001 0010', [r, v4, via4, via6]],
    ['080a 01802100 0640 0001 0010', [r, v4, p, via6]],
    ['080a 04802100 0640 0001 0010', [r, v4, p, via4]],
    ['080a 02c08100 0640 0001 0010', []],
    // Cut in its prefix, with the prefix's flag.
    ['080b 02804000 0640 0001 0010 fd', [r, v4, via4, via6]],
    // Too short to tell which flags it has.
    ['0809 02004000 0640 0001 00', []],
    // Router-ids and next hops cut short.
    ['0609 0000 01020304050607', []],
    ['0701 01', []],
    ['0704 0100 c000', [r, p, via6]],
    ['0708 0200 20010db80000', [v4, via4]],
    ['0708 0300 000000000000', [v4, via4]],
  ] as const) {
    t.deepEqual(readOf(malformed), [...seen], malformed);
  }
  // A router-id that comes anew after an Update too short to tell: the defaults are unknown still.
  t.deepEqual(readOf(`0809 02004000 0640 0001 00 ${routerId}`), [r, v4]);
});

test('bits past a prefix’s length are cleared, whichever TLV it is in', (t) => {
  const read = (body: string) =>
    tlvsOf(packet(`${routerId} 0706 0100 c0000209 ${body}`)).map((line) => line.split(' ', 2)[1]);
  for (const [body, seen] of [
    ['080f 02002200 0640 0001 0010 fd000000ff', 'fd00:0:c000::/34'],
    ['080f 02002100 0640 0001 ffff fd000000ff', 'fd00:0:8000::/33'],
    ['080d 01001500 0640 0001 0010 0a01ff', '10.1.248.0/21'],
    ['080d 04001700 0640 0001 0010 0a01ff', '10.1.254.0/23'],
    ['0905 0211 fd00ff', 'fd00:8000::/17'],
    ['0a10 0209 0002 4000 0102030405060708 fdff', 'fd80::/9'],
  ] as const) {
    t.deepEqual(read(body), [seen], body);
  }
  // What is taken from a default prefix as well.
  const leaning = '080f 02802800 0640 0001 0010 fd000000ff 080a 02002205 0640 0001 0010';
  t.deepEqual(read(leaning), ['fd00:0:ff00::/40', 'fd00:0:c000::/34']);
});

test('any octets are read in one pass without a throw', (t) => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 1500 }), (body) => {
      t.true(tlvsOf(packet(body)).length <= body.length);
    }),
    { seed: 42, numRuns: 300 },
  );
});

/** A datagram for each reason to drop something of it. */
const dropped: Readonly<Record<DropReason, Uint8Array>> = {
  'not-babel': hex('2b020000'),
  'body-beyond-datagram': hex('2a02ffff'),
  'tlv-beyond-body': packet('04'),
  'unknown-tlv': packet('c802 0000'),
  'short-tlv': packet('0802 0000'),
  'bad-sub-tlv': packet('0407 0000 0001 0190 80'),
  'mandatory-sub-tlv': packet('0904 0200 8000'),
  'unknown-encoding': packet('0902 0900'),
  'bad-prefix-length': packet('0902 0281'),
  'no-default-prefix': packet('080b 02004007 0640 0001 0010 02'),
  'link-local-prefix': packet('0902 0340'),
  'mapped-prefix': packet('090e 0260 00000000000000000000ffff'),
  'no-router-id': packet('0812 02004000 0640 0001 0010 fd00000000000001'),
  'bad-router-id': packet('060a 0000 0000000000000000'),
  'no-next-hop': packet('060a 0000 0102030405060708 080d 01001800 0640 0001 0000 c63364'),
  'bad-next-hop': packet('0706 0100 e0000001'),
  'zero-interval': packet('0206 0000 0001 0000'),
  'zero-hop-count': packet('0a16 0240 0002 0000 0102030405060708 fd00000000000001'),
  'bad-wildcard': packet('0902 0001'),
  'short-timestamp': packet('040a 0000 0001 0190 0302 0000'),
};

test('what is dropped allocates nothing, whatever the reason', (t) => {
  for (const reason of dropReasons) t.deepEqual(dropsOf(dropped[reason]), { [reason]: 1 });
  const datagrams = Object.values(dropped);
  const reader = new PacketReader();
  const from = parseIp('fe80::1')!;
  const growthOf = (rounds: number): number => {
    const before = process.memoryUsage().heapUsed;
    for (let i = 0; i < rounds; i++) {
      for (let k = 0; k < datagrams.length; k++) {
        if (reader.open(datagrams[k]!, from)) while (reader.next() !== 'end');
      }
    }
    return process.memoryUsage().heapUsed - before;
  };
  growthOf(20_000); // until it is compiled
  t.true(reader.drops.every((count) => count === 20_000));
  // Some garbage of others may be collected meanwhile, or made: the smallest growth counts, and it is nearly none.
  const growths = Array.from({ length: 9 }, () => growthOf(10_000)).filter((growth) => growth >= 0);
  t.true(growths.length > 0);
  // An object is 16 octets at least: one for a single one of the twenty reasons is more than this.
  const each = Math.min(...growths) / 10_000;
  t.true(each < 8, `${each.toFixed(2)} octets for twenty of which something was dropped`);
});
