import type { Millis } from '../../src/time.js';
import type { SequenceRecorder } from './sequence.js';
import { Violation } from './violation.js';

/** Does something; a violation is thrown again with the seed, the time and a drawing of what led to it. */
export function explained<T>(
  action: () => T,
  seed: number,
  now: () => Millis,
  recorder: SequenceRecorder | undefined,
): T {
  try {
    return action();
  } catch (cause) {
    if (!(cause instanceof Violation) || cause.prefix === undefined) throw cause;
    const drawing = recorder?.draw(cause.prefix, cause.invariant === 'a' ? undefined : cause.node) ?? '';
    const text = `seed ${seed}, at ${(now() / 1000).toFixed(3)} s: ${cause.message}\n${drawing}`;
    throw new Error(text, { cause });
  }
}
