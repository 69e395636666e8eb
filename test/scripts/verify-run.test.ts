import test from 'ava';
import { runPart } from '../../scripts/verify-run.js';

const row = (what: string) =>
  `console.log('verify-row ' + JSON.stringify({ what: '${what}', target: 't', measured: 'm', ok: true }));`;
const run = (script: string, limit = 60_000) => runPart(['-e', script], limit, () => {});
const summary = (rows: Awaited<ReturnType<typeof run>>) => rows.map(({ what, measured, ok }) => [what, measured, ok]);

test('the rows of a command that ends by itself', async (t) => {
  t.deepEqual(summary(await run(`${row('a')} console.log('words'); ${row('b')}`)), [
    ['a', 'm', true],
    ['b', 'm', true],
  ]);
});

test('a command that reports nothing, or that fails, is missed', async (t) => {
  t.deepEqual(summary(await run('')), [['rows reported', '0', false]]);
  t.deepEqual(summary(await run(`${row('a')} process.exitCode = 3`)), [
    ['a', 'm', true],
    ['the command itself', 'exit 3', false],
  ]);
  t.deepEqual(summary(await run('process.kill(process.pid, "SIGKILL")')), [['the command itself', 'SIGKILL', false]]);
});

test('at its limit a command is ended; what it reported before stays, and what it says on its way out', async (t) => {
  const rows = await run(
    `${row('a')} process.on('SIGTERM', () => { ${row('b')} process.exit(143); }); setInterval(() => {}, 1000);`,
    3000,
  );
  t.deepEqual(
    rows.map(({ what }) => what),
    ['a', 'b', 'the command itself'],
  );
  t.regex(rows.at(-1)!.measured, /^ended at its limit of 0\.1 min after 2 rows$/);
});
