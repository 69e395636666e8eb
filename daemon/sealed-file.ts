import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { MeshError } from '../src/errors.js';

/** Exported keys as files: sealed under a passphrase, and still for their owner only. "-" is standard output or input. */

/** Never overwrites: an older export may be the only copy of another key. */
export function writeSealed(file: string, sealed: string): void {
  try {
    if (file === '-') process.stdout.write(`${sealed}\n`);
    else writeFileSync(file, `${sealed}\n`, { mode: 0o600, flag: 'wx', flush: true });
  } catch (cause) {
    const { code, syscall } = cause as NodeJS.ErrnoException;
    if (syscall !== 'open') rmSync(file, { force: true });
    if (code === 'EEXIST') {
      const cure = 'name another file: an export is never written over';
      throw new MeshError('export-failed', `${file} is there already`, cure, { cause });
    }
    throw new MeshError('export-failed', `cannot write ${file} (${code})`, 'name another file', { cause });
  }
}

export function readSealed(file: string): string {
  try {
    return readFileSync(file === '-' ? 0 : file, 'utf8').trim();
  } catch (cause) {
    const code = (cause as NodeJS.ErrnoException).code;
    throw new MeshError('import-failed', `cannot read ${file} (${code})`, 'check its path and permissions', { cause });
  }
}
