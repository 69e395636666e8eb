import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { stemOf, type TestPart } from './test-parts.js';

/** Test files that run in one worker. */
export interface Group {
  /** The built file that imports them all. */
  readonly file: string;
  readonly members: readonly string[];
}

/** Files that share a worker at most: few enough that all cores are busy to the end. */
const most = 7;

const folder = 'dist/test/shared';

/**
 * Groups of one folder each. A worker takes a quarter of a second of a core before its first test, for AVA is loaded and compiled
 * in each, and V8 learns anew in each what a folder's tests have in common. Two tests of a group must not have one title.
 */
export function groupsOf({ shared = [], unshared = [] }: TestPart, files: readonly string[]): Group[] {
  return shared.flatMap((name) => {
    const all = files.filter((file) => dirname(file) === join('dist/test', name) && !unshared.includes(stemOf(file)));
    const count = Math.ceil(all.length / most);
    return Array.from({ length: count }, (_, i) => ({
      file: join(folder, `${name.replace('/', '-')}-${i + 1}.test.js`),
      members: all.filter((_, at) => at % count === i),
    }));
  });
}

/**
 * What is to be run, in its order: the groups, and by turns with them all that is in none, of which most waits while a group computes;
 * first those that are named as unshared, in their order.
 */
export function byTurns({ unshared = [] }: TestPart, groups: readonly Group[], files: readonly string[]): string[] {
  const grouped = new Set(groups.flatMap(({ members }) => members));
  const alone = files.filter((file) => !grouped.has(file));
  const named = unshared.flatMap((stem) => alone.filter((file) => stemOf(file) === stem));
  const others = [...named, ...alone.filter((file) => !named.includes(file))];
  const turns = Array.from({ length: Math.max(groups.length, others.length) }, (_, i) => [groups[i]?.file, others[i]]);
  return turns.flat().filter((file) => file !== undefined);
}

/** Writes the files of the groups; gives what is to be run. */
export function shareWorkers(part: TestPart, files: readonly string[]): string[] {
  const groups = groupsOf(part, files);
  removeShared();
  mkdirSync(folder, { recursive: true });
  for (const { file, members } of groups) {
    writeFileSync(file, members.map((member) => `import './${relative(folder, member)}';\n`).join(''));
  }
  return byTurns(part, groups, files);
}

/** They would be run beside what they import by whoever runs all that is built. */
export function removeShared(): void {
  rmSync(folder, { recursive: true, force: true });
}
