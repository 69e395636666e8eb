import test from 'ava';
import { parseDuration } from '../../daemon/duration.js';
import { formatBytes, formatMs, formatRate, formatSeconds } from '../../daemon/human.js';
import { type Paper, paperOf, printable, tint, wrap } from '../../daemon/paper.js';
import { withProgress } from '../../daemon/progress.js';
import { table } from '../../daemon/table.js';

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

const endless: Paper = { width: Number.POSITIVE_INFINITY, colour: false };

test('a table aligns its columns and ends no line in spaces', (t) => {
  const rows = [
    ['a', '1', ''],
    ['longer', '20', 'x'],
  ];
  t.is(table(['NAME', 'COUNT>', 'NOTE'], rows, endless), 'NAME    COUNT  NOTE\na           1\nlonger     20  x\n');
  t.is(table(['NAME'], [], endless), 'NAME\n');
});

test('on narrow paper what does not fit is told below its row, and nothing is lost', (t) => {
  const rows = [
    ['cellar', 'direct', '11.0.0.8:16696', '12.3 ms', ''],
    ['garden', 'relayed', '-', '-', 'no answer to 5 handshakes in the last minute'],
  ];
  t.is(
    table(['NAME', 'STATE', 'ENDPOINT', 'RTT>', 'LAST ERROR'], rows, { width: 40, colour: false }),
    `NAME    STATE    ENDPOINT            RTT
cellar  direct   11.0.0.8:16696  12.3 ms
garden  relayed  -                     -
    last error no answer to 5 handshakes
    in the last minute
`,
  );
  const narrow = table(['NAME', 'STATE', 'ENDPOINT', 'RTT>', 'LAST ERROR'], rows, { width: 20, colour: false });
  t.deepEqual(narrow.split('\n').slice(0, 5), [
    'NAME    STATE',
    'cellar  direct',
    '    endpoint',
    '    11.0.0.8:16696,',
    '    rtt 12.3 ms',
  ]);
});

test('states have a colour on a terminal that wants colours, and only there', (t) => {
  const terminal = { isTTY: true, columns: 100 };
  t.deepEqual(paperOf(terminal, { TERM: 'xterm' }), { width: 100, colour: true });
  t.false(paperOf(terminal, { TERM: 'xterm', NO_COLOR: '1' }).colour);
  t.false(paperOf(terminal, { TERM: 'dumb' }).colour);
  t.deepEqual(paperOf({}, { TERM: 'xterm' }), endless);
  t.deepEqual(paperOf({}, { COLUMNS: '80' }), { width: 80, colour: false });
  const paper = { width: 80, colour: true };
  t.is(tint('direct ', paper), '\u001b[32mdirect \u001b[39m');
  t.is(tint('error', endless), 'error');
  const rows = [
    ['ok', 'direct'],
    ['error', 'unreachable'],
  ];
  t.is(
    table(['NAME', 'STATE'], rows, paper),
    'NAME   STATE\nok     \u001b[32mdirect     \u001b[39m\nerror  \u001b[31munreachable\u001b[39m\n',
  );
});

test('long text is wrapped between words and a word that is too long stays whole', (t) => {
  t.is(wrap('one two three', { width: 9, colour: false }, 2), 'one two\n  three');
  t.is(wrap('overlong word', { width: 5, colour: false }), 'overlong\nword');
});

test('who waits is told so on a terminal after a second, and the line goes with the answer', async (t) => {
  const said: string[] = [];
  let answer = (_eight: number) => {};
  const late = new Promise<number>((resolve) => {
    answer = resolve;
  });
  const screen = {
    isTTY: true,
    write: (text: string) => {
      said.push(text);
      answer(8);
    },
  };
  t.is(await withProgress('asking', Promise.resolve(7), screen), 7);
  t.deepEqual(said, []);
  t.is(await withProgress('asking', late, screen), 8);
  t.deepEqual(said, ['\rasking: 1 s', '\r\u001b[K']);
  await withProgress('asking', Promise.reject(new Error('no')), { ...screen, isTTY: false }).catch(() =>
    said.push('no'),
  );
  t.is(said.at(-1), 'no');
});

test('control characters are shown as question marks', (t) => {
  t.is(printable('a\u0000b\u001b[1mc\u009bd\u202ee é ü 漢'), 'a?b?[1mc?d?e é ü 漢');
});
