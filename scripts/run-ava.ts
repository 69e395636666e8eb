import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { stemOf } from './test-parts.js';
import { noTests, type TestResult } from './test-result.js';

/** A process, not a thread: with its process a world goes, however that ends. */
export const ownProcess: readonly string[] = ['--no-worker-threads'];

/**
 * Runs these built test files; prints what fails, what is skipped and what tests log. A runner that crashes is a
 * failure.
 */
export async function runAva(
  files: readonly string[],
  flags: readonly string[] = [],
  print: (line: string) => void = console.log,
): Promise<TestResult> {
  if (files.length === 0) return noTests;
  const failures: string[] = [];
  // A file that runs alone is not named.
  const file = files.length === 1 ? `${stemOf(files[0]!)} › ` : '';
  let passed = 0;
  let skipped = 0;
  let planned = false;
  const child = spawn(process.execPath, ['node_modules/ava/entrypoints/cli.mjs', '--tap', ...flags, ...files], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const ended = new Promise<number | null>((resolve) => child.on('exit', resolve));
  for await (const line of createInterface({ input: child.stdout })) {
    if (/^1\.\.\d+/.test(line)) planned = true;
    const [, outcome, title = ''] = /^(not ok|ok) \d+ - (.*)$/.exec(line) ?? [];
    const name = file + title;
    if (outcome === 'ok' && /# SKIP/i.test(line)) {
      skipped++;
      print(`skipped: ${name}`);
    } else if (outcome === 'ok') {
      passed++;
    } else if (outcome) {
      failures.push(name);
      print(`FAILED: ${name}`);
    } else if ((failures.length > 0 || line.startsWith('#')) && !/^# (tests|pass|skip|fail) \d+/.test(line)) {
      print(line.replace(/^# /, '  '));
    }
  }
  const code = await ended;
  if ((code !== 0 || !planned) && failures.length === 0) failures.push(`the test runner ended with ${code}`);
  return { passed, skipped, failures, unsteady: [] };
}
