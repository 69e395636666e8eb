import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { ownProcess, runAva } from './run-ava.js';
import { removeShared, shareWorkers } from './shared-workers.js';
import { sideBySide } from './side-by-side.js';
import { filesOf, inOrder, mayRunAgain, mostAtOnce, stemOf, type TestPart, testParts } from './test-parts.js';
import { noTests, settled, type TestResult, together } from './test-result.js';

/** Seconds for installing, building and linting. */
const restBudget = 80;

/** Of the files with a worker of their own most wait for sockets and processes: one more than there are cores. */
const oneMore: readonly string[] = ['--concurrency', String(availableParallelism() + 1)];

/** A line of the table. */
interface Row {
  readonly name: string;
  readonly budget: number;
  readonly seconds: number;
  readonly result: TestResult;
}

const now = () => Date.now() / 1000;

async function run(part: TestPart): Promise<TestResult> {
  // Built tests whose source is gone would run for ever.
  const files = inOrder(part, filesOf(part)).filter((file) =>
    existsSync(file.replace(/^dist\//, '').replace(/\.js$/, '.ts')),
  );
  if (part.root && process.getuid?.() !== 0) {
    for (const file of files) console.log(`skipped, needs root: ${file.replace(/^dist\//, '').replace(/\.js$/, '')}`);
    return { ...noTests, skipped: files.length };
  }
  if (part.shared) return runAva(shareWorkers(part, files), oneMore).finally(removeShared);
  if (!part.real) return runAva(files);
  const results = await sideBySide(files, (file) => mostAtOnce(part, file), runOne);
  // What failed of files that judge time is run once more, alone.
  for (const [i, file] of files.entries()) {
    if (results[i]!.failures.length === 0 || !mayRunAgain(part, file)) continue;
    console.log(`   once more, alone: ${stemOf(file)}`);
    results[i] = settled(results[i]!, await runOne(file));
  }
  return together(results);
}

/** One file, in a process of its own; what it says is printed when it ends, under its name and the time it took. */
async function runOne(file: string): Promise<TestResult> {
  const began = now();
  const lines: string[] = [];
  const result = await runAva([file], ownProcess, (line) => lines.push(line));
  console.log(`  ${(now() - began).toFixed(1).padStart(5)} s  ${stemOf(file)}`);
  for (const line of lines) console.log(line);
  return result;
}

function lint(): TestResult {
  const biome = ['node_modules/@biomejs/biome/bin/biome', 'check', '--error-on-warnings', '.'];
  const { status } = spawnSync(process.execPath, biome, { stdio: 'inherit' });
  return status === 0 ? { ...noTests, passed: 1 } : { ...noTests, failures: ['lint'] };
}

function show(rows: readonly Row[]): void {
  console.log('\npart                     seconds   budget   passed   failed   skipped');
  for (const { name, budget, seconds, result } of rows) {
    const cell = (value: number, width: number) => String(Math.round(value)).padStart(width);
    const cells = [cell(seconds, 10), cell(budget, 9), cell(result.passed, 9)];
    const rest = [cell(result.failures.length, 9), cell(result.skipped, 10), seconds > budget ? '  over budget' : ''];
    console.log(name.padEnd(22) + [...cells, ...rest].join(''));
  }
  const { passed, failures, skipped, unsteady } = together(rows.map(({ result }) => result));
  if (unsteady.length > 0) console.log(`\nunsteady, passed when run again:\n  ${unsteady.join('\n  ')}`);
  console.log(`\n${passed} passed, ${failures.length} failed, ${skipped} skipped`);
}

const wanted = process.argv.slice(2);
const strange = wanted.filter((name) => !testParts.some((part) => part.name === name));
if (strange.length > 0) {
  console.error(`no part is called ${strange.join(', ')}; there are: ${testParts.map(({ name }) => name).join(', ')}`);
  process.exit(1);
}
const started = Number(process.env.WEFT_TEST_STARTED ?? now());
const linted = lint();
const rows: Row[] = [{ name: 'install, build, lint', budget: restBudget, seconds: now() - started, result: linted }];
for (const part of testParts) {
  if (wanted.length > 0 && !wanted.includes(part.name)) continue;
  console.log(`── ${part.name}`);
  const began = now();
  const result = await run(part);
  rows.push({ name: part.name, budget: part.budget, seconds: now() - began, result });
}
show(rows);
process.exitCode = rows.some(({ result }) => result.failures.length > 0) ? 1 : 0;
