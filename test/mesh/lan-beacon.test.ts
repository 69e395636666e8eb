import test from 'ava';
import { LanBeacon, type LanBeaconEffect } from '../../src/mesh/lan-beacon.js';
import { beaconKey, beaconLength, decodeBeacon, encodeBeacon } from '../../src/mesh/lan-beacon-datagram.js';
import { seededRandom } from '../../src/random.js';

const networkId = new Uint8Array(32).fill(7);
const key = beaconKey(networkId);
const random = seededRandom(1);

function beacon(node: number): LanBeacon {
  return new LanBeacon(networkId, node, 16696, random);
}

function said(effects: readonly LanBeaconEffect[]): Uint8Array[] {
  return effects.flatMap((effect) => (effect.kind === 'sendBeacon' ? [effect.bytes] : []));
}

function received(bytes: Uint8Array, from = '192.168.1.7') {
  return { kind: 'beaconReceived', from, bytes } as const;
}

test('a beacon is read by members of its network, and by nobody else', (t) => {
  const bytes = encodeBeacon(key, { node: 0xabcdef, port: 16696, asks: true }, random.bytes(12));
  t.is(bytes.length, beaconLength);
  t.deepEqual(decodeBeacon(key, bytes), { node: 0xabcdef, port: 16696, asks: true });
  t.is(decodeBeacon(beaconKey(new Uint8Array(32)), bytes), undefined);
  for (let length = 0; length < bytes.length; length++) t.is(decodeBeacon(key, bytes.subarray(0, length)), undefined);
  for (let bit = 0; bit < 8 * bytes.length; bit++) {
    const changed = bytes.slice();
    changed[bit >> 3]! ^= 1 << (bit & 7);
    t.is(decodeBeacon(key, changed), undefined, `bit ${bit}`);
  }
});

test('two beacons of one node have nothing in common to follow it by', (t) => {
  const [one, other] = [1, 2].map(() => encodeBeacon(key, { node: 5, port: 16696, asks: false }, random.bytes(12)));
  const same = one!.filter((octet, i) => octet === other![i]);
  t.true(same.length < 6, `${same.length} octets alike`);
});

test('two nodes on one LAN hear of each other within a second, whoever was there first', (t) => {
  const [first, second] = [beacon(1), beacon(2)];
  const early = first.handle({ kind: 'addressesChanged' }, 0);
  t.is(said(early).length, 1);
  const late = said(second.handle({ kind: 'addressesChanged' }, 5000));
  const found = first.handle(received(late[0]!), 5000);
  t.deepEqual(found, [{ kind: 'foundOnLan', node: 2, endpoint: { address: '192.168.1.7', port: 16696 } }]);
  t.true(first.deadline() <= 6000);
  const answer = said(first.tick(first.deadline()));
  t.is(second.handle(received(answer[0]!, '192.168.1.6'), 6000)[0]?.kind, 'foundOnLan');
});

test('a node that starts again is answered within a second by one that has not missed it; a node that goes on is not', (t) => {
  const there = beacon(1);
  there.handle({ kind: 'addressesChanged' }, 0);
  const before = beacon(2);
  there.handle(received(said(before.handle({ kind: 'addressesChanged' }, 5000))[0]!), 5000);
  there.tick(there.deadline());
  const next = there.deadline();
  there.handle(received(said(before.tick(before.deadline()))[0]!), 20_000);
  t.is(there.deadline(), next);
  there.handle(received(said(beacon(2).handle({ kind: 'addressesChanged' }, 21_000))[0]!), 21_000);
  t.true(there.deadline() <= 22_000, `answered after ${there.deadline() - 21_000} ms`);
});

/** How often it speaks in two minutes in which it hears `heard` every second. */
function saidIn2Minutes(node: LanBeacon, heard: (i: number) => readonly Uint8Array[]): number {
  let count = said(node.handle({ kind: 'addressesChanged' }, 0)).length;
  for (let now = 1; now <= 120_000; now++) {
    if (now % 1000 === 0) for (const bytes of heard(now / 1000)) node.handle(received(bytes), now);
    if (now >= node.deadline()) count += said(node.tick(now)).length;
  }
  return count;
}

test('an asking beacon that is resent every second is answered three times, and then once in 25 s', (t) => {
  const asking = said(beacon(2).handle({ kind: 'addressesChanged' }, 0));
  const count = saidIn2Minutes(beacon(1), () => asking);
  t.true(count >= 5 && count <= 1 + 120_000 / 22_500 + 3 + 5, `${count}`);
});

test('on a LAN with more members than places, who was put out of the table is not answered as if it were new', (t) => {
  let next = 0;
  const ten = () =>
    Array.from({ length: 10 }, () =>
      encodeBeacon(key, { node: 2 + (next++ % 300), port: 16696, asks: false }, random.bytes(12)),
    );
  const node = beacon(1);
  saidIn2Minutes(node, ten);
  let count = 0;
  for (let now = 121_000; now <= 241_000; now += 1000) {
    for (const bytes of ten()) node.handle(received(bytes), now);
    if (now >= node.deadline()) count += said(node.tick(now)).length;
  }
  t.true(count <= 1 + 120_000 / 22_500 + 3 + 5, `${count}`);
});

test('members that hear one ask do not answer in one instant', (t) => {
  const asking = said(beacon(2).handle({ kind: 'addressesChanged' }, 0))[0]!;
  const times = Array.from({ length: 100 }, (_, i) => {
    const node = beacon(3 + i);
    node.handle({ kind: 'addressesChanged' }, 0);
    node.handle(received(asking), 10_000);
    return node.deadline() - 10_000;
  });
  t.true(times.every((time) => time >= 0 && time <= 1000));
  for (let tenth = 0; tenth < 1000; tenth += 100) {
    const within = times.filter((time) => time >= tenth && time < tenth + 100).length;
    t.true(within > 0 && within < 30, `${within} of 100 from ${tenth} ms on`);
  }
});

test('a node that starts thrice within 25 s is answered each time', (t) => {
  const there = beacon(1);
  there.handle({ kind: 'addressesChanged' }, 0);
  for (const at of [5000, 11_000, 17_000]) {
    there.handle(received(said(beacon(2).handle({ kind: 'addressesChanged' }, at))[0]!), at);
    t.true(there.deadline() <= at + 1000, `${at}: ${there.deadline() - at} ms later`);
    t.is(said(there.tick(there.deadline())).length, 1);
  }
});

test('one’s own beacon is nobody’s; a place is told again after a while only', (t) => {
  const node = beacon(1);
  const other = encodeBeacon(key, { node: 2, port: 1, asks: false }, random.bytes(12));
  t.deepEqual(node.handle(received(encodeBeacon(key, { node: 1, port: 1, asks: false }, random.bytes(12))), 0), []);
  t.is(node.handle(received(other), 0).length, 1);
  t.is(node.handle(received(other), 10_000).length, 0);
  t.is(node.handle(received(other), 30_000).length, 1);
  t.true(node.isHeardAt(2, { address: '192.168.1.7', port: 1 }));
  t.false(node.isHeardAt(2, { address: '192.168.1.8', port: 1 }));
});

test('a flood costs a bounded number of looks, makes no flood of ours, and fills a bounded table', (t) => {
  const node = beacon(1);
  node.handle({ kind: 'addressesChanged' }, 0);
  let told = 0;
  let sent = 0;
  for (let i = 0; i < 60_000; i++) {
    const now = i;
    const bytes = encodeBeacon(key, { node: 2 + (i % 5000), port: 16696, asks: i % 3 === 0 }, random.bytes(12));
    told += node.handle(received(bytes, `10.0.${i % 7}.1`), now).length;
    if (now >= node.deadline()) sent += said(node.tick(now)).length;
  }
  t.true(told <= 60 * 50, `${told}`);
  t.true(sent <= 61, `${sent} beacons of ours in a minute`);
  t.true(node.dropped > 50_000);
});

test('noise, and beacons that claim to come from nowhere, are dropped', (t) => {
  const node = beacon(1);
  const good = encodeBeacon(key, { node: 2, port: 16696, asks: false }, random.bytes(12));
  for (const from of ['127.0.0.1', '0.0.0.0', '224.0.0.1', '169.254.1.1', 'x']) {
    t.deepEqual(node.handle(received(good, from), 0), []);
  }
  for (let length = 0; length < 64; length++) t.deepEqual(node.handle(received(random.bytes(length)), 2000), []);
});
