import test from 'ava';
import { isFailed, type Verdict, verdictCells, verdicts } from '../../bench/floors.js';
import type { Part } from '../../bench/part.js';
import type { Column } from '../../bench/plot.js';
import { summary } from '../../bench/statistics.js';

function column(name: string, figures: Readonly<Record<string, readonly number[]>>): Column {
  const summaries = Object.entries(figures).map(([key, values]) => [key, summary(values)]);
  return { name, version: '1', figures: Object.fromEntries(summaries) };
}

const weft = {
  tcp1: [4, 4.4, 4.2],
  tcp8: [4.5],
  udp1200: [800],
  'rtt-idle': [0.4, 0.5, 0.41],
  'rtt-300': [0.2],
  relay1: [2.9],
};
const others: readonly Column[] = [
  column('bare wire', { tcp1: [30], 'rtt-idle': [0.01], 'rtt-300': [0.01] }),
  column('wireguard-go (Debian 13)', { tcp1: [2.2, 1.9, 2], tcp8: [2.1], udp1200: [400], 'rtt-idle': [0.55] }),
  column('wireguard-go (Debian 12)', { tcp1: [0.5], 'rtt-idle': [0.6] }),
  column('yggdrasil', { tcp1: [1.5], 'rtt-300': [2700] }),
  column('nebula', { tcp1: [0.63], 'rtt-idle': [0.42, 0.41, 0.43], 'rtt-300': [0.21] }),
];
const parts: readonly Part[] = [
  { what: 'seal', nanos: 700 },
  { key: 'lookup', what: 'lookup', nanos: 120 },
  { key: 'handshake', what: 'handshake', nanos: 700_000 },
];
const judged = (ours: Readonly<Record<string, readonly number[]>> = weft, those = parts) =>
  verdicts([column('weft', ours), ...others], those);
const outcome = (all: readonly Verdict[], row: string) => all.find((verdict) => verdict.row === row)?.outcome;

test('a floor that is reached is held, a goal that is reached is said, and both are of medians', (t) => {
  const all = judged();
  const one = all.find(({ row }) => row === 'one TCP stream, against wireguard-go (Debian 13)')!;
  t.is(one.outcome, 'goal met');
  t.is(one.value, 4.2 / 2);
  t.is(one.worst, 4 / 2.2, 'the least of ours to the most of theirs');
  t.is(outcome(all, 'one TCP stream, against nebula'), 'held');
  t.is(outcome(all, 'one TCP stream through one relay, against direct'), 'goal met');
  t.is(outcome(all, 'handshakes answered a second, one core'), 'held');
  t.is(outcome(all, 'lookup among 100,000 prefixes, µs'), 'held');
  t.false(isFailed(all, true));
});

/** A figure just above and just below each floor. */
for (const [row, figure, held, missed] of [
  ['one TCP stream, against wireguard-go (Debian 13)', 'tcp1', [2.41], [2.39]],
  ['eight TCP streams, against wireguard-go (Debian 13)', 'tcp8', [2.53], [2.51]],
  ['one TCP stream, against wireguard-go (Debian 12)', 'tcp1', [2.11], [2.09]],
  ['one TCP stream, against yggdrasil', 'tcp1', [3.76], [3.74]],
  ['one TCP stream, against nebula', 'tcp1', [2.65], [2.64]],
  ['UDP 1200 B, under 1 % lost, against wireguard-go (Debian 13)', 'udp1200', [521], [519]],
  ['round trip, idle, against the best of them', 'rtt-idle', [0.42], [0.421]],
  ['round trip at 300 Mbit/s, against the best of them', 'rtt-300', [0.21], [0.211]],
  ['one TCP stream through one relay, against direct', 'relay1', [2.11], [2.09]],
] as const) {
  test(`below its floor it is missed: ${row}`, (t) => {
    t.not(outcome(judged({ ...weft, [figure]: held }), row), 'missed');
    const all = judged({ ...weft, [figure]: missed });
    t.is(outcome(all, row), 'missed');
    t.true(isFailed(all, false));
    t.is(
      verdictCells(all)
        .find(([name]) => name === row)
        ?.at(-1),
      'MISSED',
    );
  });
}

for (const [row, key, nanos] of [
  ['handshakes answered a second, one core', 'handshake', 1_000_001],
  ['lookup among 100,000 prefixes, µs', 'lookup', 200.1],
] as const) {
  test(`below its floor it is missed: ${row}`, (t) => {
    const all = judged(weft, [{ key, what: '', nanos }]);
    t.is(outcome(all, row), 'missed');
    t.true(isFailed(all, false));
  });
}

test('what was not measured is said, and fails only a run of everything', (t) => {
  const all = judged({ tcp1: weft.tcp1 }, []);
  t.is(outcome(all, 'one TCP stream, against yggdrasil'), 'held');
  t.is(outcome(all, 'round trip, idle, against the best of them'), 'not measured');
  t.is(outcome(all, 'handshakes answered a second, one core'), 'not measured');
  t.false(isFailed(all, false));
  t.true(isFailed(all, true));
});

test('the best of them is neither weft nor the bare wire', (t) => {
  const all = judged();
  t.regex(all.find(({ row }) => row.startsWith('round trip, idle'))!.says, /0\.41 to 0\.42 ms of nebula$/);
});

test('rows that other commands hold name them', (t) => {
  const elsewhere = judged().filter(({ outcome }) => outcome === 'elsewhere');
  t.is(elsewhere.length, 4);
  for (const { says } of elsewhere) t.regex(says, /^npm (test|run verify)/);
});
