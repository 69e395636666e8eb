import { spawnSync } from 'node:child_process';
import { commitName } from './verify-results.js';

/** The commit that is checked out, short; with a "+" when files differ from it. Documents do not change what is measured. */
export function checkedOut(): string {
  const git = (...args: string[]) => spawnSync('git', args, { encoding: 'utf8' }).stdout.trim();
  const status = git('status', '--porcelain', '--untracked-files=no', '--', '.', ':!docs');
  return commitName(git('rev-parse', '--short', 'HEAD'), status);
}
