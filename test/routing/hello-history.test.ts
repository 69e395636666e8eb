import test from 'ava';
import { HelloHistory } from '../../src/routing/hello-history.js';

const interval = 4000;

/** A history that heard Hellos 0 to `count` - 1, each when it was due. */
function heard(count: number): { history: HelloHistory; now: number } {
  const history = new HelloHistory();
  for (let i = 0; i < count; i++) history.heard(i, interval, i * interval);
  return { history, now: (count - 1) * interval };
}

test('what is skipped was missed, what was counted as missed too early is undone, a jump of more than 16 begins anew', (t) => {
  for (const [seqno, bits] of [
    [4, 0b1111_1000_0000_0000],
    [5, 0b1011_1100_0000_0000],
    [7, 0b1000_1111_0000_0000],
    [2, 0b1110_0000_0000_0000],
    [20, 0b1000_0000_0000_0000],
    [21, 0b1000_0000_0000_0000],
    [0xfff0, 0b1000_0000_0000_0000],
  ] as const) {
    const { history, now } = heard(4);
    t.is(history.jumped(seqno), seqno === 21 || seqno === 0xfff0, `${seqno}`);
    history.heard(seqno, interval, now + interval);
    t.is(history.bits, bits, `${seqno}: ${history.bits.toString(2)}`);
  }
});

test('a Hello is missed after one and a half intervals, the next each interval; sixteen missed and nothing is left', (t) => {
  const { history, now } = heard(16);
  t.is(history.deadline, now + 1.5 * interval);
  for (let i = 0; i < 16; i++) {
    t.is(history.deadline, now + (1.5 + i) * interval);
    t.is(history.isReceived, i < 2, `${i} missed: two of three are enough`);
    t.is(history.isHeardLately, i < 4, `${i} missed: one of four is enough in a tunnel`);
    t.is(history.missed(history.deadline), i === 15);
  }
  t.is(history.bits, 0);
  t.is(history.deadline, Number.POSITIVE_INFINITY);
});

test('an unscheduled Hello neither makes nor moves a promise; where there was none it does not count for ever', (t) => {
  const { history, now } = heard(4);
  history.heard(4, 0, now + 5000);
  t.is(history.deadline, now + 1.5 * interval);
  const alone = new HelloHistory();
  alone.heard(7, 0, 0);
  t.true(alone.isReceived);
  let missed = 0;
  while (alone.deadline < Number.POSITIVE_INFINITY) {
    alone.missed(alone.deadline);
    missed++;
  }
  t.is(missed, 16);
});
