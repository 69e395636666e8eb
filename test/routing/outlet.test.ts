import test, { type ExecutionContext } from 'ava';
import { Alarms } from '../../src/routing/alarm.js';
import { PacketWriter } from '../../src/routing/codec/packet-writer.js';
import { Outlet, type OutletHost } from '../../src/routing/outlet.js';
import { RouteMatrix } from '../../src/routing/route-matrix.js';
import { defaultTuning } from '../../src/routing/tuning.js';
import { processorTimeOf } from '../helpers/processor-time.js';
import { prefix } from './network.js';
import { tlvsOf } from './tlvs.js';

/** An outlet that has something to say of every row; the seqno tells of which. */
function tunnel(what: 'once' | 'surely' = 'once') {
  const { bytes, length } = prefix('fd00::/64');
  const matrix = new RouteMatrix();
  const packets: Uint8Array[] = [];
  const fields = {
    prefix: bytes,
    prefixLength: length,
    routerIdHigh: 1,
    routerIdLow: 1,
    seqno: 1,
    metric: 1,
    interval: 1,
  };
  const host: OutletHost = {
    matrix,
    writer: new PacketWriter(1200),
    tuning: defaultTuning,
    fields,
    describe: (row) => {
      fields.seqno = row;
      return what;
    },
    versionOf: () => 1,
    writeGreeting: () => undefined,
    send: (_outlet, bytes) => packets.push(bytes.slice()),
    acknowledged: () => undefined,
    rowLimit: () => 1,
  };
  const outlet = new Outlet(1, 'multicast', 0, 1, 1200, 1, new Alarms());
  return { outlet, host, matrix, sent: () => packets.length, packets };
}

test('a row that is told urgently whenever it waits does not stand in the queue again and again', (t) => {
  const { outlet, host, matrix, sent } = tunnel();
  const times = 20_000;
  for (let now = 0; now < times; now++) {
    outlet.update(matrix, 0, times + 1000);
    outlet.urgentUpdate(matrix, 0, now);
    outlet.flush(host, now);
  }
  t.is(sent(), times);
  t.true(outlet.queued <= 1025, `${outlet.queued}`);
  outlet.update(matrix, 0, times + 1000);
  outlet.flush(host, times + 2000);
  t.is(sent(), times + 1, 'once, of all that waited');
  t.is(outlet.queued, 0);
});

test('a row that becomes urgent many times before it leaves is told once', (t) => {
  const { outlet, host, matrix, sent } = tunnel();
  for (let i = 0; i < 1000; i++) outlet.urgentUpdate(matrix, 0, 20);
  t.is(outlet.queued, 1);
  outlet.flush(host, 20);
  t.is(sent(), 1);
});

/**
 * The same request so many times at once, in two minutes in which packets it stands in are never acknowledged and all others
 * at once: when it was said, and how often in that packet.
 */
function unacknowledged(copies: number) {
  const { outlet, host, matrix, packets } = tunnel('surely');
  const { bytes, length } = prefix('fd00:1::/64');
  const said: { readonly at: number; readonly times: number }[] = [];
  for (let copy = 0; copy < copies; copy++) {
    outlet.request({ kind: 'seqno', prefix: bytes, length, seqno: 5, hops: 64, high: 1, low: 2 }, 0);
  }
  for (let now = 0; now < 120_000; now += 100) {
    if (now % 1000 === 300) outlet.update(matrix, 0, now);
    outlet.resend(host, now);
    outlet.flush(host, now);
    for (const packet of packets.splice(0)) {
      const lines = tlvsOf(packet);
      const times = lines.filter((line) => line.startsWith('seqnoRequest')).length;
      if (times > 0) said.push({ at: now, times });
      else for (const line of lines) acknowledge(outlet, host, line, now);
    }
  }
  return said;
}

function acknowledge(outlet: Outlet, host: OutletHost, line: string, now: number): void {
  const opaque = /^ackRequest (\d+)/.exec(line)?.[1];
  if (opaque !== undefined) outlet.ackReceived(host, Number(opaque), now);
}

test('a request that is not acknowledged is said again for half a minute, also when everything else is', (t) => {
  const said = unacknowledged(1);
  t.true(said.length > 20, `${said.length} times: the neighbour is there`);
  t.true(said.at(-1)!.at > 28_000 && said.at(-1)!.at < 31_000, `last at ${said.at(-1)!.at}`);
});

/** What goes out from one time to before another, looked at every tenth of a second. */
function saidBetween({ outlet, host, packets }: ReturnType<typeof tunnel>, from: number, to: number) {
  packets.length = 0;
  const said: { readonly at: number; readonly lines: readonly string[] }[] = [];
  for (let at = from; at < to; at += 100) {
    outlet.resend(host, at);
    outlet.flush(host, at);
    for (const packet of packets.splice(0)) said.push({ at, lines: tlvsOf(packet) });
  }
  return said;
}

test('an update that is not acknowledged is said again after half a second, six times every second, then ever more seldom', (t) => {
  const rig = tunnel('surely');
  rig.outlet.urgentUpdate(rig.matrix, 0, 0);
  const times = saidBetween(rig, 0, 200_000).map(({ at }) => at / 1000);
  const waits = times.slice(1).map((at, i) => at - times[i]!);
  t.deepEqual(waits, [0.5, 1, 1, 1, 1, 1, 1, 2, 4, 8, 16, 32, 32, 32, 32, 32]);
});

test('after one acknowledgement the next update is said again after half a second', (t) => {
  const rig = tunnel('surely');
  rig.outlet.urgentUpdate(rig.matrix, 0, 0);
  for (const line of saidBetween(rig, 0, 8000).at(-1)!.lines) acknowledge(rig.outlet, rig.host, line, 8000);
  rig.outlet.urgentUpdate(rig.matrix, 1, 8000);
  t.deepEqual(
    saidBetween(rig, 8000, 10_000).map(({ at }) => at),
    [8000, 8500, 9500],
  );
});

test('what is on its way when much was not acknowledged before it is said again all the same', (t) => {
  const rig = tunnel('surely');
  const last = 15;
  // One more row every 100 ms: whenever one times out, others wait for their acknowledgement still.
  for (let row = 0; row <= last; row++) {
    rig.outlet.urgentUpdate(rig.matrix, row, 100 * row);
    saidBetween(rig, 100 * row, 100 * row + 100);
  }
  const again = saidBetween(rig, 100 * last + 100, 100 * last + 1600).flatMap(({ lines }) => lines);
  for (let row = 0; row <= last; row++)
    t.true(
      again.some((line) => line.includes(` seqno ${row} `)),
      `row ${row}`,
    );
});

test('where an acknowledgement takes longer than the first wait all is said twice, and no more', (t) => {
  for (const roundTrip of [700, 1100, 1900, 4900]) {
    const rig = tunnel('surely');
    const acks: { readonly at: number; readonly line: string }[] = [];
    const said: number[] = [];
    for (let row = 0; row < 20; row++) rig.outlet.urgentUpdate(rig.matrix, row, 0);
    for (let now = 0; now < 60_000; now += 100) {
      for (; acks[0] && acks[0].at <= now; acks.shift()) acknowledge(rig.outlet, rig.host, acks[0].line, now);
      for (const { at, lines } of saidBetween(rig, now, now + 100)) {
        said.push(at);
        for (const line of lines) acks.push({ at: at + roundTrip, line });
      }
    }
    // Until the first acknowledgement is there, what nobody has answered is said every second.
    const most = 2 + Math.floor(Math.max(0, roundTrip - 500) / 1000);
    t.is(said.length, most, `${roundTrip} ms: ${said}`);
  }
});

test('what waited long for a silent neighbour is said as soon as it acknowledges something', (t) => {
  const rig = tunnel('surely');
  rig.outlet.urgentUpdate(rig.matrix, 7, 0);
  saidBetween(rig, 0, 70_000);
  rig.outlet.urgentUpdate(rig.matrix, 0, 70_000);
  const [other] = saidBetween(rig, 70_000, 70_100);
  for (const line of other!.lines) acknowledge(rig.outlet, rig.host, line, 70_100);
  const said = saidBetween(rig, 70_100, 71_000);
  t.deepEqual(
    said.map(({ at, lines }) => [at, lines.some((line) => line.includes('seqno 7'))]),
    [[70_100, true]],
    JSON.stringify(said),
  );
});

/** More packets on their way than are waited for, to a neighbour that has long been silent; each tells of one row. Ends at 80 s. */
function overflown(rows: number) {
  const rig = tunnel('surely');
  rig.matrix.reserve(rows, 1);
  rig.outlet.urgentUpdate(rig.matrix, rows - 1, 0);
  saidBetween(rig, 0, 70_000);
  for (let row = 0; row < rows - 1; row++) {
    rig.outlet.urgentUpdate(rig.matrix, row, 70_000 + row);
    rig.outlet.flush(rig.host, 70_000 + row);
  }
  return { rig, sent: rig.packets.splice(0).map((packet) => tlvsOf(packet)) };
}

/** Acknowledges these packets, and in the ten seconds that follow each at once; the rows told of then. */
function toldWhileAcknowledged({ outlet, host, ...rig }: ReturnType<typeof tunnel>, packets: readonly string[][]) {
  for (const line of packets.flat()) acknowledge(outlet, host, line, 80_000);
  const told: number[] = [];
  for (let now = 80_000; now < 90_000; now += 100) {
    const said = saidBetween({ outlet, host, ...rig }, now, now + 100);
    told.push(...rowsOf(said));
    for (const line of said.flatMap(({ lines }) => lines)) acknowledge(outlet, host, line, now);
  }
  return told.toSorted((a, b) => a - b);
}

/** The rows that are told of, as often as they are. */
function rowsOf(said: readonly { readonly lines: readonly string[] }[]): number[] {
  return said.flatMap(({ lines }) => lines).flatMap((line) => / seqno (\d+) /.exec(line)?.slice(1).map(Number) ?? []);
}

test('what stood in packets too many to wait for is said again with the others, once the neighbour acknowledges something', (t) => {
  const rows = 4200;
  const { rig, sent } = overflown(rows);
  const all = Array.from({ length: rows - 1 }, (_, row) => row);
  t.deepEqual(toldWhileAcknowledged(rig, sent.slice(-1)), [...all.slice(0, -1), rows - 1]);
});

test('what stood in packets too many to wait for is said again, also when all others are acknowledged', (t) => {
  const { rig, sent } = overflown(4200);
  rig.outlet.urgentUpdate(rig.matrix, 0, 79_000);
  sent.push(...saidBetween(rig, 79_000, 79_100).map(({ lines }) => [...lines]));
  const dropped = Array.from({ length: 103 }, (_, i) => i + 1);
  t.deepEqual(toldWhileAcknowledged(rig, sent), [...dropped, 4199], 'once; and not what another packet told of');
});

test('what stood in packets too many to wait for is said to a silent neighbour no oftener than the others', (t) => {
  const rows = 4200;
  const { rig } = overflown(rows);
  const told = rowsOf(saidBetween(rig, 80_000, 170_000));
  const times = (row: number) => told.filter((each) => each === row).length;
  for (const row of [0, 1, 2000, rows - 2]) t.true(times(row) >= 2 && times(row) <= 4, `${row}: ${times(row)} times`);
});

test('the same request four times stands once in a packet', (t) => {
  const times = unacknowledged(4).map(({ times }) => times);
  t.true(times.length > 20);
  t.true(times.every((each) => each === 1));
});

/** The processor's milliseconds that queueing so many unacknowledged requests again takes, the least of five. */
function timeToSayAgain(t: ExecutionContext, count: number): number {
  const times = Array.from({ length: 5 }, () => {
    const { outlet, host, packets } = tunnel('surely');
    for (let i = 0; i < count; i++) {
      const { bytes, length } = prefix(`fd00:1:${i.toString(16)}::/64`);
      outlet.request({ kind: 'seqno', prefix: bytes, length, seqno: 5, hops: 64, high: 1, low: 2 }, 0);
    }
    const said = (from: number) => {
      packets.length = 0;
      for (let at = from; outlet.flushAt < from + 5000; at++) outlet.flush(host, at);
      return new Set(packets.flatMap((packet) => tlvsOf(packet)).filter((line) => line.startsWith('seqnoRequest')))
        .size;
    };
    t.is(said(0), count);
    const took = processorTimeOf(() => outlet.resend(host, 20_000));
    t.is(said(20_000), count);
    return took;
  });
  return Math.min(...times);
}

test('sixteen times as many requests take about sixteen times as long to be said again', (t) => {
  const [few, many] = [timeToSayAgain(t, 256), timeToSayAgain(t, 4096)];
  // Looking for each among all the others: 256 times.
  t.true(many < 80 * few, `${few} and ${many} ms`);
});
