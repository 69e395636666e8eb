import { setTimeout as pause } from 'node:timers/promises';

const pollEvery = 40;

/** For what nobody was promised in a time, on a machine that has other things to do. */
export const patience = 20_000;

/**
 * Waits until `condition` gives a value, and returns it. Until then it gives undefined, false or a text that says what is
 * still missing. Fails with that text at the deadline: nothing here sleeps for a guessed time.
 */
export async function until<T>(
  what: string,
  deadlineMs: number,
  condition: () => T | undefined | false | Missing | Promise<T | undefined | false | Missing>,
): Promise<T> {
  const started = performance.now();
  for (;;) {
    const value = await condition();
    if (value !== undefined && value !== false && !(value instanceof Missing)) return value;
    if (performance.now() - started > deadlineMs) {
      throw new Error(`not within ${deadlineMs} ms: ${what}${value instanceof Missing ? `\n${value.text}` : ''}`);
    }
    await pause(pollEvery);
  }
}

/** What a condition still waits for, in words for the failure message. */
export class Missing {
  readonly text: string;

  constructor(text: string) {
    this.text = text;
  }
}
