import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { commitName, minutesOf, missedIn, type Result, VerifyResults } from '../../scripts/verify-results.js';

function folder(t: ExecutionContext): string {
  const made = mkdtempSync(join(tmpdir(), 'weft-verify-'));
  t.teardown(() => rmSync(made, { recursive: true }));
  return made;
}

const result = (part: string, commit: string, ...held: boolean[]): Result => ({
  part,
  machine: 'a machine',
  commit,
  date: '2026-01-02 03:04',
  seconds: 5,
  rows: held.map((ok, i) => ({ what: `figure ${i}`, target: 'a | b', measured: '1', ok })),
});

test('a result holds for its commit, and for none that differs from what is checked out', (t) => {
  const results = new VerifyResults(folder(t));
  t.is(results.held('plane', 'abc'), undefined);
  results.write(result('plane', 'abc', true));
  t.is(results.held('plane', 'abc')?.commit, 'abc');
  t.is(results.held('plane', 'abd'), undefined);
  results.write(result('plane', 'abc+', true));
  t.is(results.held('plane', 'abc+'), undefined, 'two changed trees are not the same');
  t.is(results.held('plane', 'abc'), undefined);
});

test('a commit is named with a plus when files differ from it', (t) => {
  t.is(commitName('abc', ''), 'abc');
  t.is(commitName('abc', ' M src/time.ts'), 'abc+');
});

test('what was missed before counts as what is missed now', (t) => {
  t.is(missedIn([result('plane', 'abc', true, false), result('routers', 'abc', false)]), 2);
  t.is(missedIn([]), 0);
});

test('the parts say how long they took together', (t) => {
  const took = (seconds: number) => ({ ...result('plane', 'abc', true), seconds });
  t.is(minutesOf([]), 0);
  t.is(minutesOf([took(100), took(200), took(59)]), 6);
  t.is(minutesOf([took(76)]), 1.5);
});

test('a part is in one hand at a time', (t) => {
  const made = folder(t);
  const [one, other] = [new VerifyResults(made), new VerifyResults(made)];
  const end = one.begin('plane');
  t.truthy(end);
  t.is(other.begin('plane'), undefined);
  t.truthy(other.begin('routers'));
  end!();
  t.truthy(other.begin('plane'));
});

test('runs at the same time lose no row of the table', async (t) => {
  const made = folder(t);
  const names = Array.from({ length: 12 }, (_, i) => `part-${i}`);
  const file = join(made, 'verified.md');
  await Promise.all(
    names.map(async (name) => {
      const results = new VerifyResults(made);
      results.write(result(name, 'abc', true, false));
      await results.tabulate(names, file);
    }),
  );
  const text = readFileSync(file, 'utf8');
  t.true(text.includes('these parts took 1 minutes'), text);
  t.true(text.includes(`\n- a machine: ${names.join(', ')}\n`), text);
  for (const name of names) {
    t.true(text.includes(`| ${name} | figure 0 | a \\| b | 1 | yes | 2026-01-02 03:04 | abc | 5 |`), name);
    t.true(text.includes(`| ${name} | figure 1 | a \\| b | 1 | **no** |`), name);
  }
});
