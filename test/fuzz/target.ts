import type { Random } from '../../src/random.js';

/** One decoder, or one receive path, under fuzzing. */
export interface Target {
  readonly name: string;
  /** The ends of the paths of the built files whose coverage counts. */
  readonly files: readonly string[];
  /** Well-formed inputs to begin with. */
  readonly seeds: readonly Uint8Array[];
  /** Makes a fresh subject; what it returns takes one input, and throws where a promise is broken. */
  readonly make: (random: Random) => (input: Uint8Array) => void;
}

/** Breaks the run when a promise is broken. */
export function promise(holds: boolean, what: string): void {
  if (!holds) throw new Error(`broken: ${what}`);
}
