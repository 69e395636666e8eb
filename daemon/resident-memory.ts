import { readFileSync } from 'node:fs';
import { foreignIfAny } from '../src/ffi.js';
import type { Millis } from '../src/time.js';

/**
 * Starting reads and runs far more of the node binary than the daemon needs afterwards: of 46 MB of it that are resident
 * when all is up, about 15 are touched again. Those pages are the file's own and can be had back from it at any time, so
 * they are given back: a fault each for the few that are needed later.
 */
const soon: Millis = 1000;
const again: Millis = 60_000;
const dontNeed = 4;

interface Mapping {
  readonly start: number;
  readonly length: number;
}

/**
 * Mappings of files that this process may not write and has not changed: relocated constants are, and would be lost.
 * `smaps`: the text of /proc/self/smaps.
 */
export function unchangedFiles(smaps: string): Mapping[] {
  const found: Mapping[] = [];
  let mapping: Mapping | undefined;
  const keep = () => {
    if (mapping) found.push(mapping);
    mapping = undefined;
  };
  for (const line of smaps.split('\n')) {
    const head = /^([0-9a-f]+)-([0-9a-f]+) r-[x-]p \S+ \S+ (\d+)/.exec(line);
    if (/^[0-9a-f]+-/.test(line)) {
      keep();
      const start = head ? Number.parseInt(head[1]!, 16) : 0;
      if (head && head[3] !== '0') mapping = { start, length: Number.parseInt(head[2]!, 16) - start };
    } else if (/^(Anonymous|Swap):\s+[1-9]/.test(line)) mapping = undefined;
  }
  keep();
  return found;
}

/** Gives such pages back once all is up, and each minute; returns what ends it. */
export function keepSmall(): () => void {
  const madvise = foreignIfAny('int madvise(uint64_t address, uint64_t length, int advice)');
  if (!madvise) return () => {};
  const giveBack = () => {
    for (const { start, length } of unchangedFiles(readFileSync('/proc/self/smaps', 'latin1'))) {
      madvise(start, length, dontNeed);
    }
  };
  const first = setTimeout(giveBack, soon).unref();
  const timer = setInterval(giveBack, again).unref();
  return () => {
    clearTimeout(first);
    clearInterval(timer);
  };
}
