import { createHash } from 'node:crypto';
import { join } from 'node:path';
import { concatBytes, equalBytes, utf8 } from '../src/bytes.js';
import { MeshError } from '../src/errors.js';
import { type Files, systemFiles } from './files.js';

/**
 * Named blobs in one folder, for one daemon at a time. A blob is replaced as a whole or not at all: temporary file, fsync,
 * rename, fsync of the folder, so that kill -9 or a power cut at any moment leaves the old or the new one.
 *
 *     "weft state 1\n" | SHA-256 of the rest, 32 octets | the blob
 *
 * The sum tells a file that a disk or a hand has damaged from one that is whole. Folder 0700, files 0600.
 */
export class State {
  readonly folder: string;
  readonly #files: Files;
  readonly #lock: number;
  /** By name, the sum of what this process has brought to the disk. An issuer asked again for a certificate does not wait for it twice. */
  readonly #written = new Map<string, Uint8Array>();
  #open = true;

  private constructor(folder: string, files: Files, lock: number) {
    this.folder = folder;
    this.#files = files;
    this.#lock = lock;
  }

  /**
   * Makes the folder if need be, takes its lock and clears away what a crash left half-written. Throws MeshError when
   * another daemon holds it or it cannot be written.
   */
  static open(folder: string, files: Files = systemFiles): State {
    const lock = guard(folder, 'open', () => {
      files.makeFolder(folder);
      return files.lock(join(folder, 'lock'));
    });
    if (lock === undefined) {
      throw new MeshError(
        'state-in-use',
        `another weftd or weft command is using ${folder}`,
        'stop it first (systemctl stop weft), or give this one a folder of its own with --state',
      );
    }
    const state = new State(folder, files, lock);
    try {
      for (const name of guard(folder, 'read', () => files.list(folder))) {
        if (name.endsWith(temporary)) guard(folder, 'write', () => files.remove(join(folder, name)));
      }
    } catch (error) {
      state.close();
      throw error;
    }
    return state;
  }

  /** The blob, the caller's; undefined when there is none. Throws MeshError when the file is damaged or unreadable. */
  read(name: string): Uint8Array | undefined {
    const file = this.#path(name);
    const bytes = guard(file, 'read', () => this.#files.read(file));
    if (!bytes) return undefined;
    const blob = opened(bytes);
    if (!blob) {
      throw new MeshError(
        'state-damaged',
        `${file} is damaged or only half there`,
        `put back a copy of it, or ${wayBack(this.folder, name)}`,
      );
    }
    return blob;
  }

  /**
   * Replaces the blob; on return it is on disk. Octets that were brought there before are not written again. Throws MeshError, the
   * old blob untouched, when it cannot.
   */
  write(name: string, blob: Uint8Array): void {
    const file = this.#path(name);
    const temp = file + temporary;
    const written = this.#written.get(name);
    const fresh = sum(blob);
    if (written && equalBytes(written, fresh)) return;
    this.#written.delete(name);
    try {
      guard(file, 'write', () => {
        this.#files.write(temp, concatBytes(magic, fresh, blob));
        this.#files.rename(temp, file);
        this.#files.syncFolder(this.folder);
      });
    } catch (error) {
      this.#discard(temp);
      throw error;
    }
    this.#written.set(name, fresh);
  }

  /** Removes the blob, durably; nothing happens when there is none. */
  remove(name: string): void {
    const file = this.#path(name);
    this.#written.delete(name);
    guard(file, 'remove', () => {
      this.#files.remove(file);
      this.#files.syncFolder(this.folder);
    });
  }

  /** Names of all blobs, sorted. */
  names(): string[] {
    return guard(this.folder, 'read', () => this.#files.list(this.folder))
      .filter((file) => file.endsWith(suffix) && namePattern.test(file.slice(0, -suffix.length)))
      .map((file) => file.slice(0, -suffix.length))
      .sort();
  }

  /** Gives up the lock; the state cannot be used afterwards. */
  close(): void {
    if (!this.#open) return;
    this.#open = false;
    this.#files.unlock(this.#lock);
  }

  #path(name: string): string {
    if (!this.#open) throw new Error('the state is closed');
    if (!namePattern.test(name)) throw new Error(`not a blob name: ${name}`);
    return join(this.folder, name + suffix);
  }

  #discard(temp: string): void {
    try {
      this.#files.remove(temp);
    } catch {
      // It is cleared away at the next start; the error that brought us here matters more.
    }
  }
}

/** The blob "identity" is the file identity.state: `lock`, temporary and set-aside files are never taken for blobs. */
const suffix = '.state';
const namePattern = /^[a-z0-9-]+$/;
const temporary = '.new';
const magic = utf8('weft state 1\n');
const sumLength = 32;

function sum(blob: Uint8Array): Uint8Array {
  return createHash('sha256').update(blob).digest();
}

function opened(bytes: Uint8Array): Uint8Array | undefined {
  const start = magic.length + sumLength;
  if (bytes.length < start || !equalBytes(bytes.subarray(0, magic.length), magic)) return undefined;
  const blob = new Uint8Array(bytes.subarray(start));
  return equalBytes(bytes.subarray(magic.length, start), sum(blob)) ? blob : undefined;
}

/** Turns what the operating system refuses into a sentence with a cure. */
function guard<T>(path: string, verb: string, work: () => T): T {
  try {
    return work();
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code;
    if (code === undefined || !/^E[A-Z0-9]+$/.test(code)) throw error;
    const cure = cures[code] ?? 'check the disk and the permissions of the state folder';
    throw new MeshError(cureCodes[code] ?? 'state-unusable', `cannot ${verb} ${path} (${code})`, cure, {
      cause: error,
    });
  }
}

/** How to go on when there is no copy of a damaged blob. What a node is cannot be set aside alone. */
function wayBack(folder: string, name: string): string {
  const file = join(folder, name + suffix);
  const aside = `mv ${file} ${file}.damaged`;
  switch (name) {
    case 'identity':
    case 'membership':
      return `begin anew with the same address: (cd ${folder} && mkdir damaged && mv identity${suffix} membership${suffix} damaged), then join with a token that another issuer makes by "weft invite --as NAME"`;
    case 'issuer':
      return `set it aside: ${aside} (tokens not used yet are void then; numbers given are kept as they are met)`;
    case 'network-key':
      return `set it aside (${aside}) and bring back the copy you exported: weft network-key import FILE`;
    default:
      return `set it aside to go on without it: ${aside}`;
  }
}

const cureCodes: Readonly<Record<string, string>> = { ENOSPC: 'disk-full', EDQUOT: 'disk-full' };
const cures: Readonly<Record<string, string>> = {
  ENOSPC: 'the disk is full: free some space; nothing was lost',
  EDQUOT: 'the disk quota is used up: free some space; nothing was lost',
  EACCES: 'run as the user who owns it, usually root (sudo)',
  EPERM: 'run as the user who owns it, usually root (sudo)',
  EROFS: 'the disk is read-only: mount it writable, or name another folder with --state',
  ENOTDIR: 'a file is in the way of the folder: name another with --state',
};
