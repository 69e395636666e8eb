import { basename } from 'node:path';
import type { Files } from '../../daemon/files.js';

interface Inode {
  bytes: Uint8Array;
}

/**
 * A disk that forgets, as disks may: what a folder's names point at is durable only after syncFolder; renames and removals
 * before it are kept or lost one by one. Written octets are durable when `write` returns, as it promises.
 */
export class MemoryDisk implements Files {
  #durable = new Map<string, Inode>();
  #current = new Map<string, Inode>();
  /** Changes of names since the last syncFolder, in order. */
  #pending: ((names: Map<string, Inode>) => void)[] = [];
  #stepsLeft: number;
  isOut = false;

  /** The power goes at this step. */
  constructor(powerCutAt = Number.POSITIVE_INFINITY) {
    this.#stepsLeft = powerCutAt;
  }

  /** The disk as found afterwards: pending change i happened when kept[i]. A rename keeps its order with its own file. */
  afterPowerCut(kept: readonly boolean[]): MemoryDisk {
    const disk = new MemoryDisk();
    const names = new Map(this.#durable);
    this.#pending.forEach((change, i) => {
      if (kept[i % kept.length]) change(names);
    });
    disk.#durable = names;
    disk.#current = new Map(names);
    return disk;
  }

  makeFolder(): void {}

  read(file: string): Uint8Array | undefined {
    return this.#current.get(basename(file))?.bytes.slice();
  }

  write(file: string, bytes: Uint8Array): void {
    const inode = { bytes: bytes.slice(0, bytes.length / 2) };
    this.#change((names) => names.set(basename(file), inode));
    this.#step();
    inode.bytes = bytes.slice();
  }

  rename(from: string, to: string): void {
    this.#step();
    const inode = this.#current.get(basename(from))!;
    this.#change((names) => {
      names.delete(basename(from));
      names.set(basename(to), inode);
    });
  }

  remove(file: string): void {
    this.#step();
    this.#change((names) => names.delete(basename(file)));
  }

  list(): string[] {
    return [...this.#current.keys()];
  }

  syncFolder(): void {
    this.#step();
    this.#durable = new Map(this.#current);
    this.#pending = [];
  }

  lock(): number {
    return 0;
  }

  unlock(): void {}

  #change(change: (names: Map<string, Inode>) => void): void {
    if (this.isOut) throw new Error('the power is out');
    change(this.#current);
    this.#pending.push(change);
  }

  #step(): void {
    if (--this.#stepsLeft > 0 && !this.isOut) return;
    this.isOut = true;
    throw new Error('the power is out');
  }
}
