import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import type { Millis } from '../src/time.js';
import { type Row, readRow } from './verify-row.js';

/** What is told to end goes in order, its worlds with it; what does not within this time is killed. */
const patience: Millis = 10_000;

/**
 * Runs a part's command to its end, or to its limit, and gives the rows it reported; those it reported before an end
 * that was not its own stay, and a row that says so is added.
 */
export async function runPart(
  command: readonly string[],
  limit: Millis,
  print: (line: string) => void,
): Promise<readonly Row[]> {
  const rows: Row[] = [];
  const child = spawn(process.execPath, ['--enable-source-maps', ...command], { stdio: ['ignore', 'pipe', 'inherit'] });
  const ended = new Promise<string>((resolve) => {
    child.once('exit', (code, signal) => resolve(signal ?? `exit ${code}`));
  });
  let isLate = false;
  let force: NodeJS.Timeout | undefined;
  const end = setTimeout(() => {
    isLate = true;
    child.kill('SIGTERM');
    force = setTimeout(() => child.kill('SIGKILL'), patience);
  }, limit);
  // A grandchild may hold the pipe open when the command has ended.
  void ended.then(() => setTimeout(() => child.stdout.destroy(), patience).unref());
  for await (const line of createInterface({ input: child.stdout })) {
    const row = readRow(line);
    if (row) rows.push(row);
    print(row ? `${row.ok ? 'held  ' : 'MISSED'}  ${row.what}: ${row.measured} (target ${row.target})` : line);
  }
  const how = await ended;
  clearTimeout(end);
  clearTimeout(force);
  if (isLate) {
    const measured = `ended at its limit of ${(limit / 60_000).toFixed(1)} min after ${rows.length} rows`;
    rows.push({ what: 'the command itself', target: 'ends by itself', measured, ok: false });
  } else if (how !== 'exit 0') {
    rows.push({ what: 'the command itself', target: 'exit 0', measured: how, ok: false });
  } else if (rows.length === 0) {
    rows.push({ what: 'rows reported', target: 'at least 1', measured: '0', ok: false });
  }
  return rows;
}
