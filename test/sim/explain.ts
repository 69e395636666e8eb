import type { Millis } from '../../src/time.js';
import { Violation } from './violation.js';

/**
 * Does something; a violation is thrown again with the seed, the time and what there is to draw of it: what the nodes
 * concerned know of its prefix, and what led to that.
 */
export function explained<T>(
  action: () => T,
  seed: number,
  now: () => Millis,
  draw: (violation: Violation) => readonly string[],
): T {
  try {
    return action();
  } catch (cause) {
    if (!(cause instanceof Violation)) throw cause;
    const lines = [`seed ${seed}, at ${(now() / 1000).toFixed(3)} s: ${cause.message}`, ...draw(cause)];
    throw new Error(lines.join('\n'), { cause });
  }
}
