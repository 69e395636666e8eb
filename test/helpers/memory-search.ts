import { closeSync, openSync, readFileSync, readSync } from 'node:fs';
import { addressOf } from '../../src/ffi.js';

const chunkLength = 1 << 20;

/**
 * How often each of these secrets lies in this process's memory, in whatever part of it: heaps, threads' stacks, what was
 * freed and not cleared. The ones given, and what is read to look through, do not count.
 */
export function timesInMemory(secrets: readonly Uint8Array[]): number[] {
  const chunk = Buffer.from(new ArrayBuffer(chunkLength + 32));
  const own = [chunk, ...secrets].map((bytes) => {
    const from = addressOf(bytes);
    return { from, to: from + bytes.length };
  });
  const counts = secrets.map(() => 0);
  const memory = openSync('/proc/self/mem', 'r');
  for (const { from, to } of writable()) {
    for (let at = from; at < to; at += chunkLength) {
      const length = read(memory, chunk, Math.min(chunk.length, to - at), at);
      const seen = chunk.subarray(0, length);
      secrets.forEach((secret, i) => {
        for (let hit = seen.indexOf(secret); hit >= 0; hit = seen.indexOf(secret, hit + 1)) {
          const address = at + hit;
          if (hit < chunkLength && !own.some((each) => address >= each.from && address < each.to)) counts[i]!++;
        }
      });
    }
  }
  closeSync(memory);
  return counts;
}

/** What this process may write to, and so what keys can lie in. */
function writable(): { readonly from: number; readonly to: number }[] {
  return readFileSync('/proc/self/maps', 'latin1')
    .split('\n')
    .filter((line) => / rw/.test(line))
    .map((line) => {
      const [from, to] = line.split(/[- ]/).map((address) => Number.parseInt(address, 16)) as [number, number];
      return { from, to };
    });
}

/** Zero for what the kernel does not let us read, as of devices. */
function read(memory: number, chunk: Uint8Array, length: number, at: number): number {
  try {
    return readSync(memory, chunk, 0, length, at);
  } catch {
    return 0;
  }
}
