import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { noTests, type TestResult } from './test-result.js';

/** Processes, not threads: with its process a world goes, however that ends. */
export function atMost(files: number): readonly string[] {
  return [`--concurrency=${files}`, '--no-worker-threads'];
}

/**
 * Runs these built test files; prints what fails, what is skipped and what tests log. A runner that crashes is a
 * failure.
 */
export async function runAva(files: readonly string[], flags: readonly string[] = []): Promise<TestResult> {
  if (files.length === 0) return noTests;
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
  return { passed, skipped, failures, unsteady: [] };
}
