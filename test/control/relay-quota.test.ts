import test from 'ava';
import {
  decodeRelayedMonths,
  encodeRelayedMonths,
  type RelayedMonth,
  RelayQuota,
} from '../../src/control/relay-quota.js';
import { minute, second } from '../../src/time.js';
import { type Machine, World } from './world.js';

const november = Date.UTC(2026, 10, 26) / 1000;
const december = Date.UTC(2026, 11, 1) / 1000;

test('what is on the disk is read back, and what is torn or strange begins the month anew', (t) => {
  const months = [
    { month: 12 * 2026 + 10, octets: 123_456_789_012 },
    { month: 12 * 1970, octets: 7 },
  ];
  const bytes = encodeRelayedMonths(months);
  t.deepEqual(decodeRelayedMonths(bytes), months);
  t.deepEqual(decodeRelayedMonths(undefined), []);
  for (let length = 0; length < bytes.length; length++) t.deepEqual(decodeRelayedMonths(bytes.subarray(0, length)), []);
  for (let i = 0; i < bytes.length; i++) {
    t.deepEqual(decodeRelayedMonths(Uint8Array.from(bytes, (octet, at) => (at === i ? octet ^ 1 : octet))), []);
  }
  t.deepEqual(decodeRelayedMonths(encodeRelayedMonths(Array(5).fill(months[0]))), [], 'more than are ever kept');
});

test('a crash at any moment forgets at most a minute, however often it happens', (t) => {
  let disk: readonly RelayedMonth[] = [];
  let truth = 0;
  for (let life = 0; life < 20; life++) {
    const quota = new RelayQuota(1e12, disk);
    let relayed = 0;
    const lost = truth - (disk[0]?.octets ?? 0);
    t.true(lost <= 6 * 1000 * (life + 1), `${lost}`);
    for (let now = 0; now < (3 + life) * minute; now += 10 * second) {
      relayed += 1000;
      truth += 1000;
      disk = quota.look(relayed, november, now) ?? disk;
    }
  }
  t.true(truth - disk[0]!.octets <= 20 * 7 * 1000);
});

test('used up it is written at once and stays so until the month is over; the time may jump', (t) => {
  const quota = new RelayQuota(5000, []);
  quota.look(1000, november, 0);
  t.false(quota.isReached);
  t.deepEqual(quota.look(5000, november, 10), [{ month: 12 * 2026 + 10, octets: 5000 }]);
  t.true(quota.isReached);
  t.true(new RelayQuota(5000, [{ month: 12 * 2026 + 10, octets: 5000 }]).isReached, 'also after a restart');
  quota.look(5000, december, 20);
  t.false(quota.isReached);
  t.is(quota.octets, 0);
});

test('a machine whose clock starts in 1970 has its allowance once, however often it starts; the next month begins anew', (t) => {
  let disk: readonly RelayedMonth[] = [];
  let relayed = 0;
  const live = (time: number) => {
    const quota = new RelayQuota(5000, disk);
    const look = (counted: number, unixSeconds: number, now: number) => {
      disk = quota.look(counted, unixSeconds, now) ?? disk;
    };
    look(0, 30, 0);
    let counted = quota.isReached ? 0 : 1000;
    look(counted, 60, 2 * minute);
    look(counted, time, 4 * minute);
    if (!quota.isReached) counted += 1000;
    look(counted, time, 6 * minute);
    disk = quota.unwritten(7 * minute) ?? disk;
    relayed += counted;
    return quota;
  };
  for (let life = 0; life < 20; life++) live(november);
  t.true(relayed >= 5000 && relayed <= 10_000, `${relayed} octets`);
  const before = relayed;
  t.false(live(december).isReached);
  t.true(relayed > before);
});

test('a clock that was ahead and is set right finds what was counted, and later months begin anew', (t) => {
  const quota = new RelayQuota(5000, [{ month: 12 * 2026 + 10, octets: 5000 }]);
  quota.look(0, Date.UTC(2031, 0, 1) / 1000, 0);
  t.false(quota.isReached);
  quota.look(0, november, 10);
  t.true(quota.isReached);
  quota.look(0, december, 20);
  t.false(quota.isReached);
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
