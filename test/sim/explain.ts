import type { Millis } from '../../src/time.js';
import { Violation } from './invariants.js';
import type { SequenceRecorder } from './sequence.js';

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
    if (!(cause instanceof Violation)) throw cause;
    const drawing = recorder?.draw(cause.prefix, cause.message.startsWith('a:') ? undefined : cause.node) ?? '';
    const text = `seed ${seed}, at ${(now() / 1000).toFixed(3)} s: ${cause.message}\n${drawing}`;
    throw new Error(text, { cause });
  }
}
