import { existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { systemFiles } from '../daemon/files.js';
import type { Row } from './verify-row.js';

/** What a part of `npm run verify` came to. */
export interface Result {
  readonly part: string;
  /** What it ran on. */
  readonly machine: string;
  /** Of what was checked out; with a "+" when files differed from it. */
  readonly commit: string;
  readonly date: string;
  readonly seconds: number;
  readonly rows: readonly Row[];
}

/** `status`: what `git status --porcelain` says of all that is not a document. */
export function commitName(head: string, status: string): string {
  return status === '' ? head : `${head}+`;
}

/** What they took one after the other, to half a minute. */
export function minutesOf(results: readonly Result[]): number {
  return Math.round(results.reduce((sum, { seconds }) => sum + seconds, 0) / 30) / 2;
}

export function missedIn(results: readonly Result[]): number {
  return results.flatMap(({ rows }) => rows).filter((row) => !row.ok).length;
}

/**
 * The results by part, each a file of its own in one folder, replaced as a whole: several runs may go on at the same
 * time. A part is run by one of them at a time, and one at a time writes the table; locks end with their process.
 */
export class VerifyResults {
  readonly #folder: string;

  constructor(folder: string) {
    this.#folder = folder;
    mkdirSync(folder, { recursive: true });
  }

  read(part: string): Result | undefined {
    const file = join(this.#folder, `${part}.json`);
    return existsSync(file) ? (JSON.parse(readFileSync(file, 'utf8')) as Result) : undefined;
  }

  /** The result of an earlier run that still holds: of this commit, and nothing differed from it. */
  held(part: string, commit: string): Result | undefined {
    const before = this.read(part);
    return before?.commit === commit && !commit.endsWith('+') ? before : undefined;
  }

  write(result: Result): void {
    replace(join(this.#folder, `${result.part}.json`), `${JSON.stringify(result, undefined, 2)}\n`);
  }

  /** Undefined when another run has this part in hand; otherwise gives it back. */
  begin(part: string): (() => void) | undefined {
    const lock = systemFiles.lock(join(this.#folder, `${part}.lock`));
    return lock === undefined ? undefined : () => systemFiles.unlock(lock);
  }

  /** Writes the table of all parts that have a result, in this order. */
  async tabulate(parts: readonly string[], file: string): Promise<void> {
    let end = this.begin('table');
    for (; !end; end = this.begin('table')) await sleep(50);
    try {
      const results = parts.map((part) => this.read(part)).filter((result) => result !== undefined);
      replace(file, table(results));
    } finally {
      end();
    }
  }
}

function replace(file: string, text: string): void {
  const fresh = `${file}.${process.pid}`;
  writeFileSync(fresh, text);
  renameSync(fresh, file);
}

function table(results: readonly Result[]): string {
  const machines = [...new Set(results.map(({ machine }) => machine))].map((machine) => {
    const parts = results.filter((result) => result.machine === machine).map(({ part }) => part);
    return `- ${machine}: ${parts.join(', ')}`;
  });
  const lines = results.flatMap(({ part, rows, date, commit, seconds }) =>
    rows.map(({ what, target, measured, ok }) => {
      const cells = [part, what, target, measured, ok ? 'yes' : '**no**', date, commit, String(seconds)];
      return `| ${cells.map((cell) => cell.replaceAll('|', '\\|').replaceAll('\n', ' ')).join(' | ')} |`;
    }),
  );
  return `# Verified

What takes repetition, by \`npm run verify\` (resumable by part: \`npm run verify -- PART\`); these parts took ${minutesOf(results)} minutes. They ran on:

${machines.join('\n')}

| part | what | target | measured | held | date (UTC) | commit | part took (s) |
|---|---|---|---|---|---|---|---|
${lines.join('\n')}
`;
}
