import test from 'ava';
import {
  decodeRelayedMonth,
  encodeRelayedMonth,
  type RelayedMonth,
  RelayQuota,
} from '../../src/control/relay-quota.js';
import { minute, second } from '../../src/time.js';
import { type Machine, World } from './world.js';

const november = Date.UTC(2026, 10, 26) / 1000;
const december = Date.UTC(2026, 11, 1) / 1000;

test('what is on the disk is read back, and what is torn or strange begins the month anew', (t) => {
  const month = { month: 12 * 2026 + 10, octets: 123_456_789_012 };
  const bytes = encodeRelayedMonth(month);
  t.deepEqual(decodeRelayedMonth(bytes), month);
  t.is(decodeRelayedMonth(undefined), undefined);
  for (let length = 0; length < bytes.length; length++) t.is(decodeRelayedMonth(bytes.subarray(0, length)), undefined);
  for (let i = 0; i < bytes.length; i++) {
    t.is(decodeRelayedMonth(Uint8Array.from(bytes, (octet, at) => (at === i ? octet ^ 1 : octet))), undefined);
  }
});

test('a crash at any moment forgets at most a minute, however often it happens', (t) => {
  let disk: RelayedMonth | undefined;
  let truth = 0;
  for (let life = 0; life < 20; life++) {
    const quota = new RelayQuota(1e12, disk);
    let relayed = 0;
    const lost = truth - (disk?.octets ?? 0);
    t.true(lost <= 6 * 1000 * (life + 1), `${lost}`);
    for (let now = 0; now < (3 + life) * minute; now += 10 * second) {
      relayed += 1000;
      truth += 1000;
      disk = quota.look(relayed, november, now) ?? disk;
    }
  }
  t.true(truth - disk!.octets <= 20 * 7 * 1000);
});

test('used up it is written at once and stays so until the month is over; the time may jump', (t) => {
  const quota = new RelayQuota(5000, undefined);
  quota.look(1000, november, 0);
  t.false(quota.isReached);
  t.deepEqual(quota.look(5000, november, 10), { month: 12 * 2026 + 10, octets: 5000 });
  t.true(quota.isReached);
  t.true(new RelayQuota(5000, { month: 12 * 2026 + 10, octets: 5000 }).isReached, 'also after a restart');
  quota.look(5000, december, 20);
  t.false(quota.isReached);
  t.is(quota.octets, 0);
});

test('a relay whose month is used up is left by routes and refuses, also after a crash; next month it relays again', (t) => {
  const world = new World(21);
  const [founder, a, b] = world.network(3) as [Machine, Machine, Machine];
  world.run(5 * second);
  world.separate(a, b);
  founder.crash();
  founder.relay = { mode: 'limited', limitBitsPerSecond: 8e6, octetsPerMonth: 1_000_000 };
  founder.start();
  world.until(() => a.nextHopTo(b) === founder.number && b.nextHopTo(a) === founder.number, 30 * second);
  let sent = 0;
  const sentUntilGone = () => {
    for (; a.nextHopTo(b) !== undefined && sent < 20_000; sent++) {
      a.send(b, 'x'.repeat(1000));
      world.run(5);
    }
  };
  sentUntilGone();
  t.is(a.nextHopTo(b), undefined, 'no way through it');
  t.true(sent > 900 && sent < 5000, `${sent}`);
  t.true(founder.control!.relayed.isReached);
  t.is(founder.told.at(-1)?.code, 'relay-quota');
  t.is(a.nextHopTo(founder), founder.number, 'itself it is reached');

  founder.crash();
  founder.start();
  world.run(20 * second);
  t.true(founder.hasTunnelTo(a));
  t.is(a.nextHopTo(b), undefined, 'it remembers');

  world.ahead = 31 * 24 * 3600;
  world.run(20 * second);
  t.false(founder.control!.relayed.isReached);
  world.until(() => a.nextHopTo(b) === founder.number, minute);
});
