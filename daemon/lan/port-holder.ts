import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { babelPort } from './sockets.js';

/**
 * The name and number of the process that holds UDP port 6696 on this machine, such as "babeld (812)", to tell the operator
 * which other Babel daemon is in the way. Undefined when none is found or /proc may not be read.
 */
export function babelPortHolder(): string | undefined {
  const port = babelPort.toString(16).toUpperCase().padStart(4, '0');
  const inodes = new Set(
    lines('/proc/net/udp6')
      .concat(lines('/proc/net/udp'))
      .map((line) => line.trim().split(/\s+/))
      .filter((fields) => fields[1]?.endsWith(`:${port}`))
      .map((fields) => `socket:[${fields[9]}]`),
  );
  if (inodes.size === 0) return undefined;
  for (const pid of names('/proc').filter((name) => /^\d+$/.test(name) && Number(name) !== process.pid)) {
    if (names(`/proc/${pid}/fd`).some((fd) => inodes.has(target(`/proc/${pid}/fd/${fd}`)))) {
      return `${lines(`/proc/${pid}/comm`)[0] ?? 'a process'} (${pid})`;
    }
  }
  return undefined;
}

function lines(file: string): string[] {
  return attempt(() => readFileSync(file, 'utf8').split('\n'), []);
}

function names(folder: string): string[] {
  return attempt(() => readdirSync(folder), []);
}

function target(link: string): string {
  return attempt(() => readlinkSync(link), '');
}

function attempt<T>(read: () => T, otherwise: T): T {
  try {
    return read();
  } catch {
    return otherwise; // processes and descriptors come and go while we look
  }
}
