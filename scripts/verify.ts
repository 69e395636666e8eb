import { spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { cpus, release } from 'node:os';
import { createInterface } from 'node:readline';
import { type VerifyPart, verifyParts } from './verify-parts.js';
import { type Row, readRow } from './verify-row.js';

/**
 * npm run verify [PART…] [--again]: what needs repetition or hours. Each part is a command that reports rows (what, target,
 * measured, whether it held). Results are kept in .verify/ by commit, so a stopped run goes on where it was; the table goes
 * to docs/verified.md.
 */
interface Result {
  readonly part: string;
  readonly commit: string;
  readonly date: string;
  readonly seconds: number;
  readonly rows: readonly Row[];
}

const folder = '.verify';
const git = (...args: string[]) => spawnSync('git', args, { encoding: 'utf8' }).stdout.trim();
const commit = git('rev-parse', '--short', 'HEAD') + (git('status', '--porcelain', '--untracked-files=no') ? '+' : '');

function kept(part: VerifyPart): Result | undefined {
  const file = `${folder}/${part.name}.json`;
  return existsSync(file) ? (JSON.parse(readFileSync(file, 'utf8')) as Result) : undefined;
}

async function run(part: VerifyPart): Promise<Result> {
  const started = Date.now();
  const rows: Row[] = [];
  const child = spawn(process.execPath, ['--enable-source-maps', ...part.command], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const limit = setTimeout(() => child.kill('SIGTERM'), part.minutes * 60_000);
  for await (const line of createInterface({ input: child.stdout })) {
    const row = readRow(line);
    if (row) {
      rows.push(row);
      console.log(`   ${row.ok ? 'held  ' : 'MISSED'}  ${row.what}: ${row.measured} (target ${row.target})`);
    } else console.log(`   ${line}`);
  }
  const code = await new Promise<number | null>((resolve) => {
    if (child.exitCode !== null || child.signalCode !== null) resolve(child.exitCode);
    else child.on('exit', resolve);
  });
  clearTimeout(limit);
  if (code !== 0)
    rows.push({ what: 'the command itself', target: 'exit 0', measured: `exit ${code ?? 'by signal'}`, ok: false });
  if (rows.length === 0) rows.push({ what: 'rows reported', target: 'at least 1', measured: '0', ok: false });
  const date = new Date().toISOString().slice(0, 16).replace('T', ' ');
  return { part: part.name, commit, date, seconds: Math.round((Date.now() - started) / 1000), rows };
}

function table(results: readonly Result[]): string {
  const machine = `${cpus()[0]?.model.trim() ?? 'unknown'}, ${cpus().length} cores, Linux ${release()}, Node ${process.versions.node}`;
  const lines = results.flatMap((result) =>
    result.rows.map(
      (row) =>
        `| ${result.part} | ${row.what} | ${row.target} | ${row.measured} | ${row.ok ? 'yes' : '**no**'} | ${result.date} | ${result.commit} | ${result.seconds} |`,
    ),
  );
  return `# Verified

What takes repetition, by \`npm run verify\` (resumable by part: \`npm run verify -- PART\`). Machine: ${machine}.

| part | what | target | measured | held | date (UTC) | commit | part took (s) |
|---|---|---|---|---|---|---|---|
${lines.join('\n')}
`;
}

const again = process.argv.includes('--again');
const names = process.argv.slice(2).filter((argument) => !argument.startsWith('--'));
const unknown = names.filter((name) => !verifyParts.some((part) => part.name === name));
if (unknown.length > 0) {
  console.error(`unknown part ${unknown.join(', ')}; there are: ${verifyParts.map((part) => part.name).join(', ')}`);
  process.exit(1);
}
mkdirSync(folder, { recursive: true });
let missed = 0;
for (const part of verifyParts.filter(({ name }) => names.length === 0 || names.includes(name))) {
  const before = kept(part);
  if (part.root && process.getuid?.() !== 0) {
    console.log(`── ${part.name}: skipped, needs root`);
    continue;
  }
  if (before?.commit === commit && !again && names.length === 0) {
    console.log(`── ${part.name}: kept from ${before.date} (--again repeats it)`);
  } else {
    console.log(`── ${part.name}: ${part.what} (at most ${part.minutes} min)`);
    const result = await run(part);
    writeFileSync(`${folder}/${part.name}.json`, `${JSON.stringify(result, undefined, 2)}\n`);
    missed += result.rows.filter((row) => !row.ok).length;
  }
}
const results = verifyParts.map(kept).filter((result) => result !== undefined);
writeFileSync('docs/verified.md', table(results));
console.log(`\ndocs/verified.md written; ${missed} missed in this run`);
process.exitCode = missed > 0 ? 1 : 0;
