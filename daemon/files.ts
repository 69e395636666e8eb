import {
  chmodSync,
  closeSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeSync,
} from 'node:fs';
import { dirname } from 'node:path';
import { foreign } from '../src/ffi.js';

/** What State needs of a file system; errors are Node's, with `code`. Each call is one step a crash can come between. */
export interface Files {
  /** The folder, 0700, and durably its name in the folder above; nothing happens when it is there. */
  makeFolder(folder: string): void;
  /** The whole file; undefined when there is none. */
  read(file: string): Uint8Array | undefined;
  /** A new file, 0600, its octets on disk when this returns. */
  write(file: string, bytes: Uint8Array): void;
  rename(from: string, to: string): void;
  /** Nothing happens when there is none. */
  remove(file: string): void;
  list(folder: string): string[];
  /** Makes what was renamed or removed inside durable. */
  syncFolder(folder: string): void;
  /** An exclusive lock that ends with the process whatever happens to it; undefined when another holds it. */
  lock(file: string): number | undefined;
  unlock(lock: number): void;
}

const lockExclusive = 2;
const lockNonBlocking = 4;
const unlocked = 8;

function withFile<T>(path: string, flags: string, work: (fd: number) => T): T {
  const fd = openSync(path, flags, 0o600);
  try {
    return work(fd);
  } finally {
    closeSync(fd);
  }
}

export const systemFiles: Files = {
  makeFolder(folder) {
    const made = mkdirSync(folder, { recursive: true, mode: 0o700 });
    if (made !== undefined) withFile(dirname(made), 'r', fsyncSync);
    chmodSync(folder, 0o700);
  },
  read(file) {
    try {
      return readFileSync(file);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
      throw error;
    }
  },
  write(file, bytes) {
    rmSync(file, { force: true });
    withFile(file, 'wx', (fd) => {
      for (let at = 0; at < bytes.length; ) at += writeSync(fd, bytes, at);
      fsyncSync(fd);
    });
  },
  rename: renameSync,
  remove: (file) => rmSync(file, { force: true }),
  list: (folder) => readdirSync(folder),
  syncFolder: (folder) => withFile(folder, 'r', fsyncSync),
  lock(file) {
    // flock(2): Node has none. Released by the kernel with the last descriptor, so kill -9 leaves no stale lock.
    const fd = openSync(file, 'a', 0o600);
    if (flock(fd, lockExclusive | lockNonBlocking) === 0) return fd;
    closeSync(fd);
    return undefined;
  },
  unlock(lock) {
    // Closing is not enough: a child that is being started holds a copy of the descriptor until its program runs.
    flock(lock, unlocked);
    closeSync(lock);
  },
};

function flock(fd: number, operation: number): number {
  return foreign('int flock(int fd, int operation)')(fd, operation) as number;
}
