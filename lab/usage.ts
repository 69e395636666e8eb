import { readFileSync } from 'node:fs';

/** Processor time that a process has used, user and system, in milliseconds. */
export function processorTime(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, 'latin1')
    .replace(/^.*\) /s, '')
    .split(' ');
  return (Number(fields[11]) + Number(fields[12])) * 10; // ticks of a hundredth of a second
}

/**
 * How long its first thread was ready to run and had no processor, in milliseconds; 0 when the process is gone. The second number of
 * its `schedstat`, nanoseconds.
 */
export function starvedFor(pid: number): number {
  try {
    return Number(readFileSync(`/proc/${pid}/schedstat`, 'latin1').split(' ')[1]) / 1e6;
  } catch {
    return 0; // it ended
  }
}

/** Its resident memory in megabytes. */
export function residentMegabytes(pid: number): number {
  const line = /^VmRSS:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/status`, 'latin1'));
  return (Number(line?.[1]) * 1024) / 1e6;
}

/**
 * What it has allocated and holds, in megabytes: resident or in swap, without pages of files. Those are the page cache's; the daemon gives them
 * back each minute and has most of them again seconds later (daemon/resident-memory.ts), which moves the resident memory by 6 MB and
 * hides what grows.
 */
export function allocatedMegabytes(pid: number): number {
  const status = readFileSync(`/proc/${pid}/status`, 'latin1');
  const kilobytes = [...status.matchAll(/^(?:RssAnon|VmSwap):\s+(\d+) kB/gm)].map((match) => Number(match[1]));
  return (kilobytes.reduce((sum, each) => sum + each, 0) * 1024) / 1e6;
}
