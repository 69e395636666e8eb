import type { Millis } from '../../src/time.js';
import type { SequenceRecorder } from './sequence.js';
import { Violation } from './violation.js';

/**
 * Does something; a violation is thrown again with the seed, the time and, where anything is recorded, a drawing of what led to
 * it: of its prefix, or, where the network as a whole is meant, of whatever came last.
 */
export function explained<T>(
  action: () => T,
  seed: number,
  now: () => Millis,
  recorder: SequenceRecorder | undefined,
): T {
  try {
    return action();
  } catch (cause) {
    if (!(cause instanceof Violation)) throw cause;
    const lines = [`seed ${seed}, at ${(now() / 1000).toFixed(3)} s: ${cause.message}`];
    if (recorder) lines.push(recorder.draw(cause.prefix, cause.invariant === 'a' ? undefined : cause.node));
    throw new Error(lines.join('\n'), { cause });
  }
}
