import { execFile } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';

const runFile = promisify(execFile);
/** For all scenarios, on a busy machine. */
const patience = 90_000;

/** A mistake made on purpose, as a patch of one source file. */
export interface Mutant {
  readonly name: string;
  /** Below src/routing. */
  readonly file: string;
  readonly search: string;
  readonly replace: string;
  /** Part of the name of the scenario to begin with: the one that is there for this. */
  readonly story?: string;
}

/**
 * Builds the project's routing and simulator with the mutant's patch, in a folder of their own, and runs the scenarios there.
 * Returns what they found, or undefined when the mutant got past them. Throws when the patch does not fit the source, so
 * that a mutant cannot rot unnoticed.
 */
export async function runMutant(mutant: Mutant): Promise<string | undefined> {
  const source = join('src/routing', mutant.file);
  const original = readFileSync(source, 'utf8');
  const found = original.split(mutant.search).length - 1;
  if (found !== 1) throw new Error(`${mutant.name}: "${mutant.search}" is ${found} times in ${source}, not once`);
  const folder = mkdtempSync(join(tmpdir(), 'weft-mutant-'));
  try {
    for (const part of ['dist/src', 'dist/test/sim']) cpSync(part, join(folder, part), { recursive: true });
    cpSync('package.json', join(folder, 'package.json'));
    symlinkSync(join(process.cwd(), 'node_modules'), join(folder, 'node_modules'));
    mkdirSync(dirname(join(folder, source)), { recursive: true });
    writeFileSync(
      join(folder, source),
      original.replace(mutant.search, () => mutant.replace),
    );
    await transpile(folder, source);
    return await runScenarios(folder, mutant);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

async function transpile(folder: string, source: string): Promise<void> {
  const options = ['--ignoreConfig', '--noCheck', '--noResolve', '--module', 'nodenext', '--target', 'es2023'];
  const places = ['--rootDir', folder, '--outDir', join(folder, 'dist'), '--verbatimModuleSyntax'];
  await runFile(process.execPath, ['node_modules/typescript/bin/tsc', ...options, ...places, join(folder, source)]);
}

async function runScenarios(folder: string, { name, story }: Mutant): Promise<string | undefined> {
  const args = ['dist/test/sim/smoke.js', ...(story ? [story] : [])];
  try {
    await runFile(process.execPath, args, { cwd: folder, timeout: patience });
    return undefined;
  } catch (cause) {
    const { stdout, stderr, killed } = cause as { stdout: string; stderr: string; killed?: boolean };
    // Not noticed: it may have got past everything, only slowly.
    if (killed) throw new Error(`${name}: the scenarios had not ended after ${patience / 1000} s`);
    return stdout.trim() || stderr.trim().split('\n').slice(0, 5).join(' ');
  }
}
