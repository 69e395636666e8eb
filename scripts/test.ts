import { spawn, spawnSync } from 'node:child_process';
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';

/** One part of `npm test`, with the seconds it may take on 2 cores. */
interface Part {
  readonly name: string;
  readonly budget: number;
  readonly root: boolean;
  /** Folders under test/; the units are everything the other parts do not name. */
  readonly folders: readonly string[];
  /** Real daemons on real wires: not more than two files at once. What fails is run once more, alone. */
  readonly real: boolean;
  /** Of these, the files that hold the machine to times, or that fill it: each runs alone. */
  readonly alone?: RegExp;
}

const special = ['fuzz', 'sim', 'interop', 'lab'];
const parts: readonly Part[] = [
  { name: 'units', budget: 90, root: false, folders: [], real: false },
  { name: 'fuzz', budget: 30, root: false, folders: ['fuzz'], real: false },
  { name: 'simulator', budget: 100, root: false, folders: ['sim'], real: false },
  { name: 'interop', budget: 120, root: true, folders: ['interop'], real: true, alone: /./ },
  {
    name: 'lab',
    budget: 180,
    root: true,
    folders: ['lab'],
    real: true,
    alone: /\/(download|flow|member-restart|nat-mapping|nat-punching|nat-short|routers|wires)\.test\.js$/,
  },
];
/** Installing, building and linting. */
const restBudget = 80;

interface Outcome {
  passed: number;
  failed: number;
  skipped: number;
  seconds: number;
}

interface Result {
  readonly passed: number;
  readonly skipped: number;
  /** Names of the tests that failed. */
  readonly failures: readonly string[];
}

const nothing: Outcome = { passed: 0, failed: 0, skipped: 0, seconds: 0 };

/** Tests that failed and passed when run again. */
const unsteady: string[] = [];

/** All test files of a part, as built. */
function filesOf(part: Part): string[] {
  const below = (folder: string): string[] =>
    existsSync(folder)
      ? readdirSync(folder, { withFileTypes: true }).flatMap((entry) =>
          entry.isDirectory()
            ? below(join(folder, entry.name))
            : entry.name.endsWith('.test.js')
              ? [join(folder, entry.name)]
              : [],
        )
      : [];
  if (part.folders.length > 0) return part.folders.flatMap((folder) => below(join('dist/test', folder)));
  return below('dist/test').filter(
    (file) => !special.some((folder) => file.startsWith(join('dist/test', folder, '/'))),
  );
}

/** Built tests whose source is gone would run for ever: refuse them. */
function staleFiles(files: readonly string[]): string[] {
  return files.filter((file) => !existsSync(file.replace(/^dist\//, '').replace(/\.js$/, '.ts')));
}

async function run(part: Part): Promise<Outcome> {
  const started = Date.now();
  const all = filesOf(part);
  const stale = new Set(staleFiles(all));
  const files = all.filter((file) => !stale.has(file));
  if (files.length === 0) return nothing;
  if (part.root && process.getuid?.() !== 0) {
    for (const file of files) console.log(`skipped, needs root: ${file.replace(/^dist\//, '').replace(/\.js$/, '')}`);
    return { ...nothing, skipped: files.length };
  }
  const first = part.real ? await runReal(files, part.alone) : await runFiles(files);
  const again = part.real ? filesNamedBy(first.failures, files) : [];
  const result = again.length === 0 ? first : await runAgain(first, again);
  return { ...result, failed: result.failures.length, seconds: (Date.now() - started) / 1000 };
}

/** Most of these files wait most of the time: two at once need little longer than one. */
async function runReal(files: readonly string[], alone: RegExp | undefined): Promise<Result> {
  const [lonely, sociable] = [true, false].map((is) => files.filter((file) => (alone?.test(file) ?? false) === is));
  const results = [await runFiles(sociable!, atMost(2)), await runFiles(lonely!, atMost(1))];
  return {
    passed: results.reduce((sum, { passed }) => sum + passed, 0),
    skipped: results.reduce((sum, { skipped }) => sum + skipped, 0),
    failures: results.flatMap(({ failures }) => failures),
  };
}

/** Processes, not threads: with its process a world goes, however that ends. */
function atMost(files: number): readonly string[] {
  return [`--concurrency=${files}`, '--no-worker-threads'];
}

/**
 * Real daemons share one machine with whatever else it does. What fails there is run once more, alone: what fails again has
 * failed; what passes then is named in the summary as unsteady, for somebody to look into.
 */
async function runAgain(first: Result, files: readonly string[]): Promise<Result> {
  console.log(`   once more, alone: ${files.map((file) => file.replace(/^dist\//, '')).join(', ')}`);
  const second = await runFiles(files, atMost(1));
  // What names no file, such as a runner that crashed, did not run again: it stays.
  const final = first.failures.filter((name) => !files.some((file) => isNamedBy(name, file)));
  const settled = first.failures.filter(
    (name) => !final.includes(name) && !second.failures.some((other) => lastOf(other) === lastOf(name)),
  );
  unsteady.push(...settled);
  return { passed: first.passed + settled.length, failures: [...final, ...second.failures], skipped: first.skipped };
}

/** A failure is called "file › test", or just "test" where only one file ran. */
function filesNamedBy(failures: readonly string[], files: readonly string[]): string[] {
  return files.filter((file) => files.length === 1 || failures.some((name) => isNamedBy(name, file)));
}

function isNamedBy(failure: string, file: string): boolean {
  const stem = file.replace(/^.*\//, '').replace(/\.test\.js$/, '');
  return failure.split(' › ').includes(stem) || failure.includes(file);
}

function lastOf(name: string): string {
  return name.split(' › ').at(-1) ?? name;
}

async function runFiles(files: readonly string[], flags: readonly string[] = []): Promise<Result> {
  if (files.length === 0) return { passed: 0, skipped: 0, failures: [] };
  const failures: string[] = [];
  let passed = 0;
  let skipped = 0;
  let planned = false;
  const child = spawn(process.execPath, ['node_modules/ava/entrypoints/cli.mjs', '--tap', ...flags, ...files], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const ended = new Promise<number | null>((resolve) => child.on('exit', resolve));
  for await (const line of createInterface({ input: child.stdout })) {
    if (/^1\.\.\d+/.test(line)) planned = true;
    const [, outcome, name = ''] = /^(not ok|ok) \d+ - (.*)$/.exec(line) ?? [];
    if (outcome === 'ok' && /# SKIP/i.test(line)) {
      skipped++;
      console.log(`skipped: ${name}`);
    } else if (outcome === 'ok') {
      passed++;
    } else if (outcome) {
      failures.push(name);
      console.log(`FAILED: ${name}`);
    } else if ((failures.length > 0 || line.startsWith('#')) && !/^# (tests|pass|skip|fail) \d+/.test(line)) {
      console.log(line.replace(/^# /, '  '));
    }
  }
  const code = await ended;
  if ((code !== 0 || !planned) && failures.length === 0) failures.push(`the test runner ended with ${code}`);
  return { passed, failures, skipped };
}

function lint(): Outcome {
  const started = Date.now();
  const { status } = spawnSync(
    process.execPath,
    ['node_modules/@biomejs/biome/bin/biome', 'check', '--error-on-warnings', '.'],
    {
      stdio: 'inherit',
    },
  );
  return {
    passed: status === 0 ? 1 : 0,
    failed: status === 0 ? 0 : 1,
    skipped: 0,
    seconds: (Date.now() - started) / 1000,
  };
}

const wanted = process.argv.slice(2);
const strange = wanted.filter((name) => !parts.some((part) => part.name === name));
if (strange.length > 0) {
  console.error(`no part is called ${strange.join(', ')}; there are: ${parts.map(({ name }) => name).join(', ')}`);
  process.exit(1);
}
const rows: { name: string; budget: number; outcome: Outcome }[] = [];
const started = Number(process.env.WEFT_TEST_STARTED ?? Date.now() / 1000);
const prepared = Date.now() / 1000 - started;
const linted = lint();
rows.push({
  name: 'install, build, lint',
  budget: restBudget,
  outcome: { ...linted, seconds: prepared + linted.seconds },
});
for (const part of parts) {
  if (wanted.length > 0 && !wanted.includes(part.name)) continue;
  console.log(`── ${part.name}`);
  rows.push({ name: part.name, budget: part.budget, outcome: await run(part) });
}
console.log('\npart                     seconds   budget   passed   failed   skipped');
const total: Outcome = { passed: 0, failed: 0, skipped: 0, seconds: 0 };
for (const { name, budget, outcome } of rows) {
  const cell = (value: number, width: number) => String(Math.round(value)).padStart(width);
  const late = outcome.seconds > budget ? '  over budget' : '';
  console.log(
    `${name.padEnd(22)}${cell(outcome.seconds, 10)}${cell(budget, 9)}${cell(outcome.passed, 9)}${cell(outcome.failed, 9)}${cell(outcome.skipped, 10)}${late}`,
  );
  total.passed += outcome.passed;
  total.failed += outcome.failed;
  total.skipped += outcome.skipped;
}
if (unsteady.length > 0) console.log(`\nunsteady, passed when run again:\n  ${unsteady.join('\n  ')}`);
console.log(`\n${total.passed} passed, ${total.failed} failed, ${total.skipped} skipped`);
process.exitCode = total.failed > 0 ? 1 : 0;
