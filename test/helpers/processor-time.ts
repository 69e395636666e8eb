import { readFileSync } from 'node:fs';
import type { Millis } from '../../src/time.js';

/**
 * How long this thread has been on a processor so far: the first number of `/proc/thread-self/schedstat`, nanoseconds. What the clock shows
 * is other programs' time as well, and what `process.cpuUsage()` gives is that of all tests that run beside this one. The kernel brings it up to date some hundred times a second: for what takes
 * tens of milliseconds.
 */
export function processorTime(): Millis {
  return Number(readFileSync('/proc/thread-self/schedstat', 'utf8').split(' ', 1)[0]) / 1e6;
}

/** How long `action` kept this thread on a processor. */
export function processorTimeOf(action: () => void): Millis {
  const from = processorTime();
  action();
  return processorTime() - from;
}
