import { foreign } from '../../src/ffi.js';
import type { Millis } from '../../src/time.js';

/** CLOCK_THREAD_CPUTIME_ID of clock_gettime(2). */
const ofThisThread = 3;

const readClock = foreign('int clock_gettime(int clock, _Out_ int64_t *secondsAndNanoseconds)');
const reading = new BigInt64Array(2);

/**
 * How long this thread has been on a processor so far. What the clock shows is other programs' time as well, and what
 * `process.cpuUsage()` gives is that of all tests that run beside this one.
 */
export function processorTime(): Millis {
  readClock(ofThisThread, reading);
  return Number(reading[0]) * 1000 + Number(reading[1]) / 1e6;
}

/** How long `action` kept this thread on a processor. */
export function processorTimeOf(action: () => void): Millis {
  const from = processorTime();
  action();
  return processorTime() - from;
}

/** The least of three times: a virtual machine that is not let run now and then does not always know. */
export function leastProcessorTimeOf(action: () => void): Millis {
  return Math.min(...Array.from({ length: 3 }, () => processorTimeOf(action)));
}
