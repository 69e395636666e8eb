import test from 'ava';
import { Alarms } from '../../src/routing/alarm.js';
import { PacketWriter } from '../../src/routing/codec/packet-writer.js';
import { Outlet, type OutletHost } from '../../src/routing/outlet.js';
import { RouteMatrix } from '../../src/routing/route-matrix.js';
import { defaultTuning } from '../../src/routing/tuning.js';
import { prefix } from './network.js';

/** An outlet that has something to say of every row. */
function tunnel() {
  const { bytes, length } = prefix('fd00::/64');
  const matrix = new RouteMatrix();
  let sent = 0;
  const host: OutletHost = {
    matrix,
    writer: new PacketWriter(1200),
    tuning: defaultTuning,
    fields: { prefix: bytes, prefixLength: length, routerIdHigh: 1, routerIdLow: 1, seqno: 1, metric: 1, interval: 1 },
    describe: () => 'once',
    versionOf: () => 1,
    writeGreeting: () => undefined,
    send: () => sent++,
    acknowledged: () => undefined,
    rowLimit: () => 1,
  };
  const outlet = new Outlet(1, 'multicast', 0, true, 1200, 1, new Alarms());
  return { outlet, host, matrix, sent: () => sent };
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
