import test from 'ava';
import { parseDuration } from '../../daemon/duration.js';
import { formatBytes, formatMs, formatRate, formatSeconds } from '../../daemon/human.js';
import { printable, table } from '../../daemon/table.js';

test('durations are read in every unit, and nothing else is', (t) => {
  t.deepEqual(
    ['250ms', '20s', '5m', '24h', '2d', '1w', '1h30m', '0.5s'].map(parseDuration),
    [250, 20_000, 300_000, 86_400_000, 172_800_000, 604_800_000, 5_400_000, 500],
  );
  for (const text of ['', '5', 's', '5 s', '-5s', '5x', '1e9s', 'ms', '5s ', `${'9'.repeat(30)}w`]) {
    t.is(parseDuration(text), undefined, text);
  }
});

test('seconds show their two largest units', (t) => {
  t.deepEqual([0, 59.9, 60, 61, 3600, 3661, 86_400, 90_000, 86_461, -5].map(formatSeconds), [
    '0s',
    '59s',
    '1m',
    '1m 1s',
    '1h',
    '1h 1m',
    '1d',
    '1d 1h',
    '1d',
    '0s',
  ]);
});

test('milliseconds, octets and rates show three figures', (t) => {
  t.deepEqual([0.4211, 9.994, 9.996, 99.94, 99.96, 1234, null].map(formatMs), [
    '0.42 ms',
    '9.99 ms',
    '10.0 ms',
    '99.9 ms',
    '100 ms',
    '1234 ms',
    '-',
  ]);
  t.deepEqual([0, 999, 1000, 1234, 999_499, 999_500, 123_456_789, 5e15].map(formatBytes), [
    '0 B',
    '999 B',
    '1.00 kB',
    '1.23 kB',
    '999 kB',
    '1.00 MB',
    '123 MB',
    '5.00 PB',
  ]);
  t.deepEqual([0, 640_000, 2.31e9].map(formatRate), ['0 bit/s', '640 kbit/s', '2.31 Gbit/s']);
});

test('a table aligns its columns and ends no line in spaces', (t) => {
  t.is(
    table(
      ['NAME', 'COUNT>', 'NOTE'],
      [
        ['a', '1', ''],
        ['longer', '20', 'x'],
      ],
    ),
    'NAME    COUNT  NOTE\na           1\nlonger     20  x\n',
  );
  t.is(table(['NAME'], []), 'NAME\n');
});

test('control characters are shown as question marks', (t) => {
  t.is(printable('a\u0000b\u001b[1mc\u009bd\u202ee é ü 漢'), 'a?b?[1mc?d?e é ü 漢');
});
