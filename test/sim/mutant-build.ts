import { execFile } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import type { Outcome } from './trial.js';

const runFile = promisify(execFile);
/** For all that one build has to run, on a busy machine. */
const patience = 600_000;

/** A mistake made on purpose, in one source file. */
export interface Patch {
  readonly name: string;
  /** Below src/routing. */
  readonly file: string;
  readonly search: string;
  readonly replace: string;
}

/** How a named test ended; `asserted`: by an assertion of its own, not by an exception. */
export type TestEnd = 'passed' | 'asserted' | 'crashed';

/**
 * The sources that have mutants, compiled by one run of the compiler: as they are, and with each patch.
 *
 *     folder/as-they-are/routes.js   folder/0/routes.js   folder/1/codec/packet-reader.js ...
 */
export class MutantSources {
  readonly #folder = mkdtempSync(join(tmpdir(), 'weft-mutants-'));
  readonly #patches: readonly Patch[];

  /** Throws when a patch does not fit its source, so that no mutant can rot unnoticed. */
  constructor(patches: readonly Patch[]) {
    this.#patches = patches;
    cpSync('package.json', join(this.#folder, 'package.json')); // it says that these are modules
    for (const file of this.files) this.#write(asTheyAre, file, sourceOf(file));
    patches.forEach((patch, i) => {
      this.#write(`${i}`, patch.file, patched(sourceOf(patch.file), patch));
    });
  }

  get files(): readonly string[] {
    return [...new Set(this.#patches.map(({ file }) => file))];
  }

  #write(place: string, file: string, text: string): void {
    const path = join(this.#folder, place, file);
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, text);
  }

  async compile(): Promise<void> {
    const options = ['--ignoreConfig', '--noCheck', '--noResolve', '--module', 'nodenext', '--target', 'es2023'];
    const paths = [
      ...this.files.map((file) => join(asTheyAre, file)),
      ...this.#patches.map(({ file }, i) => join(`${i}`, file)),
    ].map((path) => join(this.#folder, path));
    const places = ['--rootDir', this.#folder, '--outDir', this.#folder, '--verbatimModuleSyntax'];
    await runFile(process.execPath, ['node_modules/typescript/bin/tsc', ...options, ...places, ...paths]);
  }

  /** The compiled file: with the patch, or as it is. */
  compiled(file: string, patch?: Patch): string {
    const place = patch ? `${this.#patches.indexOf(patch)}` : asTheyAre;
    return readFileSync(join(this.#folder, place, file.replace(/\.ts$/, '.js')), 'utf8');
  }

  remove(): void {
    rmSync(this.#folder, { recursive: true, force: true });
  }
}

const asTheyAre = 'as-they-are';

function sourceOf(file: string): string {
  return readFileSync(join('src/routing', file), 'utf8');
}

function patched(original: string, { name, file, search, replace }: Patch): string {
  const found = original.split(search).length - 1;
  if (found !== 1) throw new Error(`${name}: "${search}" is ${found} times in ${file}, not once`);
  return original.replace(search, () => replace);
}

/** A copy of what is built, in a folder of its own, of which one file at a time is a mutant's. */
export class MutantBuild {
  readonly #folder = mkdtempSync(join(tmpdir(), 'weft-mutant-'));
  readonly #sources: MutantSources;

  constructor(sources: MutantSources) {
    this.#sources = sources;
    for (const part of [
      'dist/src',
      ...['sim', 'routing', 'control', 'tunnel', 'helpers'].map((folder) => `dist/test/${folder}`),
    ])
      cpSync(part, join(this.#folder, part), { recursive: true, filter: (path) => !path.endsWith('.map') });
    cpSync('package.json', join(this.#folder, 'package.json'));
    for (const part of ['node_modules', 'test']) symlinkSync(join(process.cwd(), part), join(this.#folder, part));
    for (const file of sources.files) this.#put(file);
  }

  #put(file: string, patch?: Patch): void {
    writeFileSync(
      join(this.#folder, 'dist/src/routing', file.replace(/\.ts$/, '.js')),
      this.#sources.compiled(file, patch),
    );
  }

  /** Does something with the patch in it; without, all is as it is. */
  async with<T>(patch: Patch | undefined, use: (build: MutantBuild) => Promise<T>): Promise<T> {
    if (patch) this.#put(patch.file, patch);
    try {
      return await use(this);
    } finally {
      if (patch) this.#put(patch.file);
    }
  }

  remove(): void {
    rmSync(this.#folder, { recursive: true, force: true });
  }

  /** Runs scenarios of the simulator, up to the first broken invariant. Throws when that ends in any other way. */
  async trial(scenarios: readonly string[], seeds: readonly number[]): Promise<Outcome[]> {
    const args = ['dist/test/sim/trial.js', seeds.join(), ...scenarios];
    const { stdout } = await runFile(process.execPath, args, { cwd: this.#folder, timeout: patience });
    const lines = stdout.trim().split('\n');
    return lines.map((line) => JSON.parse(line) as Outcome);
  }

  /** Runs the tests of those titles alone; how each ended. */
  async tests(file: string, titles: readonly string[]): Promise<TestEnd[]> {
    const ava = ['node_modules/ava/entrypoints/cli.mjs', '--tap', '--no-worker-threads'];
    const args = [...ava, ...titles.map((title) => `--match=${title}`), join('dist', `${file}.js`)];
    const stdout = await runFile(process.execPath, args, { cwd: this.#folder, timeout: patience }).then(
      (ended) => ended.stdout,
      (cause: { readonly stdout?: string; readonly killed?: boolean }) => {
        if (cause.killed || cause.stdout === undefined) throw cause;
        return cause.stdout;
      },
    );
    const ends = stdout.split(/^(?=ok|not ok)/m);
    return titles.map((title) => {
      const end = ends.find((one) => one.split('\n')[0]!.endsWith(` - ${title}`));
      if (!end) throw new Error(`${file} has no test called "${title}":\n${stdout}`);
      if (end.startsWith('ok')) return 'passed';
      return /^ +name: AssertionError$/m.test(end) ? 'asserted' : 'crashed';
    });
  }
}
