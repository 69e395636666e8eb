import { readFileSync } from 'node:fs';
import test from 'ava';
import { isFailed, type Verdict, verdictCells, verdicts } from '../../bench/floors.js';
import { gaps } from '../../bench/gaps.js';
import type { Part } from '../../bench/part.js';
import type { Column } from '../../bench/plot.js';
import { summary } from '../../bench/statistics.js';
import { readVerified } from '../../bench/verified.js';

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
  column('wireguard-go (Debian 13)', {
    tcp1: [2.2, 1.9, 2],
    tcp8: [2.1],
    udp1200: [400],
    'rtt-idle': [0.55],
    'rtt-300': [0.3],
  }),
  column('wireguard-go (Debian 12)', { tcp1: [0.5], 'rtt-idle': [0.6], 'rtt-300': [0.4] }),
  column('yggdrasil', { tcp1: [1.5], 'rtt-idle': [0.7], 'rtt-300': [2700] }),
  column('nebula', { tcp1: [0.63], 'rtt-idle': [0.42, 0.41, 0.43], 'rtt-300': [0.21] }),
];
const parts: readonly Part[] = [
  part('seal', 700),
  part('lookup', 120, 'lookup'),
  part('handshake', 700_000, 'handshake'),
];
function part(what: string, nanos: number, key?: Part['key']): Part {
  return { ...(key ? { key } : {}), what, nanos, least: nanos, most: nanos };
}
const line = (what: string, measured: string, held = 'yes') =>
  `| plane | ${what} | at most | ${measured} | ${held} | 2026-11-27 18:05 | a6dfe1f | 583 |`;
const verified = readVerified(
  [
    '| part | what | target | measured | held | date (UTC) | commit | part took (s) |',
    '|---|---|---|---|---|---|---|---|',
    line('processor, idle, 10 tunnels, mean of the third minute', '0.28 %'),
    line('resident memory, 100 peers with a session each, after a minute of full load', '89 MB \\| all'),
    line('resident memory, 2 peers, after a minute of full load', '91 MB', '**no**'),
  ].join('\n'),
);
const judged = (
  ours: Readonly<Record<string, readonly number[]>> = weft,
  those = parts,
  found = verified.slice(0, 2),
) => verdicts([column('weft', ours), ...others], those, found);
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
  t.false(isFailed(all, false));
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
    const all = judged(weft, [part('', nanos, key)]);
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

test('the best of them is not known while one of them lacks the figure', (t) => {
  const without = others.map((one) => (one.name === 'nebula' ? column('nebula', { tcp1: [0.63] }) : one));
  const all = verdicts([column('weft', weft), ...without], parts, verified);
  t.is(outcome(all, 'round trip, idle, against the best of them'), 'not measured');
});

test('what `npm run verify` measured is told with its commit and date, and fails the run where it was missed', (t) => {
  const all = judged(weft, parts, verified);
  const found = (row: string) => all.find((verdict) => verdict.row.startsWith(row))!;
  t.like(found('processor, idle'), { outcome: 'held', says: '0.28 %; npm run verify at a6dfe1f, 2026-11-27 18:05' });
  t.like(found('memory, 100 peers'), { outcome: 'held' });
  t.like(found('memory, 2 peers'), { outcome: 'missed' });
  t.true(isFailed(all, false));
  t.is(judged().find(({ row }) => row.startsWith('memory, 2 peers'))?.outcome, 'not measured');
  t.is(outcome(all, 'allocation per packet'), 'elsewhere');
});

test('the table of docs/verified.md is read as it is written', (t) => {
  const rows = readVerified(readFileSync('docs/verified.md', 'utf8'));
  t.true(rows.length > 60);
  t.true(rows.every(({ commit, isHeld }) => /^[0-9a-f]{7}$/.test(commit) && typeof isHeld === 'boolean'));
  t.is(judged(weft, parts, rows).filter(({ outcome }) => outcome === 'not measured').length, 0);
});

test('a figure that a contender lacks, or has of fewer rounds, is a gap of a run of everything', (t) => {
  const all = [column('bare wire', { tcp1: [1, 2] }), column('nebula', { tcp1: [1], relay1: [1, 1] })];
  const found = gaps(all, new Set(['weft']), 2);
  t.true(found.includes('nebula: one TCP stream, 1 of 2'));
  t.true(found.includes('bare wire: eight TCP streams, 0 of 2'));
  t.false(found.some((gap) => gap.startsWith('bare wire: memory') || gap.includes('relay')));
  t.false(found.includes('bare wire: one TCP stream, 2 of 2'));
});
