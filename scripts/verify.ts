import { cpus, release } from 'node:os';
import { checkedOut } from './checked-out.js';
import { verifyParts } from './verify-parts.js';
import { minutesOf, missedIn, type Result, VerifyResults } from './verify-results.js';
import { runPart } from './verify-run.js';

/**
 * npm run verify [PART…] [--again]: what needs repetition or hours. Each part is a command that reports rows (what,
 * target, measured, whether it held). Results are kept in .verify/ by commit, so a stopped run goes on where it was,
 * and runs of different parts may go on at the same time; the table of all goes to docs/verified.md. Exit 1 when
 * anything asked for was missed, now or when it was run before.
 */
const commit = checkedOut();
const machine = `${cpus()[0]?.model.trim() ?? 'unknown'}, ${cpus().length} cores, Linux ${release()}, Node ${process.versions.node}`;
const results = new VerifyResults('.verify');

const again = process.argv.includes('--again');
const names = process.argv.slice(2).filter((argument) => !argument.startsWith('--'));
const unknown = names.filter((name) => !verifyParts.some((part) => part.name === name));
if (unknown.length > 0) {
  console.error(`unknown part ${unknown.join(', ')}; there are: ${verifyParts.map((part) => part.name).join(', ')}`);
  process.exit(1);
}
const chosen = verifyParts.filter(({ name }) => names.length === 0 || names.includes(name));
const limit = chosen.reduce((sum, { minutes }) => sum + minutes, 0);
console.log(`${chosen.length} parts, one after the other: at most ${limit} min`);
const done: Result[] = [];
for (const part of chosen) {
  if (part.root && process.getuid?.() !== 0) {
    console.log(`── ${part.name}: skipped, needs root`);
    continue;
  }
  const before = again || names.length > 0 ? undefined : results.held(part.name, commit);
  if (before) {
    const missed = missedIn([before]);
    console.log(`── ${part.name}: kept from ${before.date}, ${missed} missed (--again repeats it)`);
    done.push(before);
    continue;
  }
  const end = results.begin(part.name);
  if (!end) {
    console.log(`── ${part.name}: another run is at it`);
    continue;
  }
  console.log(`── ${part.name}: ${part.what} (at most ${part.minutes} min)`);
  const started = Date.now();
  const date = new Date(started).toISOString().slice(0, 16).replace('T', ' ');
  const rows = await runPart(part.command, part.minutes * 60_000, (line) => console.log(`   ${line}`));
  const result = { part: part.name, machine, commit, date, seconds: Math.round((Date.now() - started) / 1000), rows };
  results.write(result);
  end();
  done.push(result);
  await results.tabulate(
    verifyParts.map(({ name }) => name),
    'docs/verified.md',
  );
}
const missed = `${missedIn(done)} missed in the ${done.length} parts asked for`;
console.log(`\ndocs/verified.md has all results; ${missed}, which took ${minutesOf(done)} min`);
process.exitCode = missedIn(done) > 0 ? 1 : 0;
