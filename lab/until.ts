import { setTimeout as sleep } from 'node:timers/promises';
import type { Millis } from '../src/time.js';

/** How often a state is looked at. */
const interval: Millis = 20;

export interface Reached<T> {
  readonly value: T;
  /** How long it took until the state was first seen good. */
  readonly took: Millis;
}

/**
 * Looks at real state until it is good. When it is not within the time, the error says what was last seen, and what
 * `tail` adds (the end of a daemon's log). A look that throws is a state like any other: daemons may be starting. What
 * `uncounted` gives of the time so far does not count.
 */
export async function until<T>(
  what: string,
  look: () => Promise<T> | T,
  isGood: (seen: T) => boolean,
  within: Millis,
  tail: () => string | Promise<string> = () => '',
  uncounted: () => Millis = () => 0,
): Promise<Reached<T>> {
  const started = performance.now();
  for (;;) {
    let last: string;
    try {
      const value = await look();
      if (isGood(value)) return { value, took: performance.now() - started };
      last = typeof value === 'string' ? value : JSON.stringify(value, null, 1);
    } catch (error) {
      last = String(error);
    }
    if (performance.now() - started - uncounted() > within) {
      throw new Error(`not within ${within} ms: ${what}\nlast seen: ${last.slice(0, 4000)}\n${await tail()}`);
    }
    await sleep(interval);
  }
}
