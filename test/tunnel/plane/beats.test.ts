import test from 'ava';
import fc from 'fast-check';
import { never } from '../../../src/time.js';
import { Beats } from '../../../src/tunnel/plane/beats.js';
import { Moment } from '../../../src/tunnel/plane/moment.js';

/** When it beats, for packets at these times, until it is done; `took`: each beat. */
function beatsFor(packets: readonly number[], took = 0): number[] {
  const beats = new Beats();
  const heard: number[] = [];
  for (const [i, at] of packets.entries()) {
    beats.packet(Moment.at(at));
    const next = packets[i + 1] ?? never;
    while (beats.deadline.millis < next) {
      const began = Moment.at(beats.deadline.millis);
      heard.push(began.millis);
      beats.beat(began, Moment.at(began.millis + took));
    }
  }
  return heard;
}

const every = (gap: number, count: number) => Array.from({ length: count }, (_, i) => i * gap);

test('a ping every 10 ms: a beat between two, and one gap more when they end', (t) => {
  t.deepEqual(beatsFor(every(10, 4)), [15, 25, 35, 40, 45]);
});

test('one packet alone is no conversation, nor are packets a second apart', (t) => {
  t.deepEqual(beatsFor([1000]), []);
  t.deepEqual(beatsFor(every(1000, 20)), []);
  t.deepEqual(beatsFor([0, 251]), []);
});

test('keystrokes five a second: warm between them, and for two gaps after the last', (t) => {
  const heard = beatsFor(every(200, 5));
  t.true(heard.every((at) => at > 200 && at < 800 + 400));
  for (const packet of [400, 600, 800])
    t.true(
      heard.some((at) => at >= packet - 5 && at < packet),
      `before ${packet}`,
    );
  t.true(heard.some((at) => at >= 1190));
});

test('bursts with a rest between them are kept warm through the rest', (t) => {
  // Three packets 3 ms apart, then 40 ms of rest.
  const packets = Array.from({ length: 5 }, (_, i) => [0, 3, 6].map((at) => i * 46 + at)).flat();
  const heard = beatsFor(packets);
  for (const first of [92, 138, 184])
    t.true(
      heard.some((at) => at >= first - 6 && at < first),
      `before ${first}`,
    );
});

test('a beat that takes 2 ms is followed by 100 ms of rest, whatever comes meanwhile', (t) => {
  t.deepEqual(beatsFor(every(10, 30), 2), [15, 117, 219]);
  t.deepEqual(beatsFor(every(10, 2), 2), [15], 'and by no other once nobody talks');
});

test('ended, it waits for two packets more', (t) => {
  const beats = new Beats();
  for (const at of [0, 10]) beats.packet(Moment.at(at));
  t.is(beats.deadline.millis, 15);
  beats.end();
  t.is(beats.deadline.millis, never);
  beats.beat(Moment.at(15), Moment.at(15));
  t.is(beats.deadline.millis, never);
});

test('whatever comes: never sooner than 5 ms after a packet or beat, never later than half a second after a packet', (t) => {
  const held = fc.check(
    fc.property(fc.array(fc.double({ min: 0, max: 600, noNaN: true }), { maxLength: 60 }), (gaps) => {
      let at = 0;
      const packets = gaps.map((gap) => (at += gap));
      const heard = beatsFor(packets);
      for (const [i, beat] of heard.entries()) {
        const packet = packets.filter((sent) => sent <= beat).at(-1)!;
        if (beat - Math.max(packet, heard[i - 1] ?? 0) < 4.999 || beat - packet > 500) return false;
      }
      return true;
    }),
  );
  t.false(held.failed, fc.defaultReportMessage(held));
});
