import { writeFileSync } from 'node:fs';
import { type Files, systemFiles } from '../../daemon/files.js';

/** The real disk, until the given step: there the process is killed, before the step, or with a write half done. */
export function crashingFiles(step: number, half: boolean): Files {
  let steps = 0;
  const before = (midway: () => void = () => {}) => {
    if (++steps !== step) return;
    if (half) midway();
    process.kill(process.pid, 'SIGKILL');
  };
  return {
    ...systemFiles,
    write(file, bytes) {
      before(() => writeFileSync(file, bytes.subarray(0, bytes.length / 2)));
      systemFiles.write(file, bytes);
    },
    rename(from, to) {
      before();
      systemFiles.rename(from, to);
    },
    remove(file) {
      before();
      systemFiles.remove(file);
    },
    syncFolder(folder) {
      before();
      systemFiles.syncFolder(folder);
    },
  };
}
