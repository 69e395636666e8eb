/** By the letters of docs/decisions/simulator-watches-from-outside.md. */
export type Invariant = 'a' | 'b' | 'c' | 'd' | 'e' | 'f' | 'g' | 'h' | 'i' | 'j' | 'k' | 'l' | 'm';

/** An invariant that does not hold. */
export class Violation extends Error {
  override readonly name = 'Violation';
  readonly invariant: Invariant;
  /** What the drawing is to be about; undefined where the network as a whole is meant. */
  readonly prefix: string | undefined;
  /** Whose event it was, and who else has to do with it; none where the network as a whole is meant. */
  readonly nodes: readonly number[];

  constructor(invariant: Invariant, text: string, prefix?: string, ...nodes: readonly number[]) {
    super(`${invariant}: ${text}`);
    this.invariant = invariant;
    this.prefix = prefix;
    this.nodes = nodes;
  }
}

/** The violation that an error is, or was made of. */
export function violationIn(error: unknown): Violation | undefined {
  if (error instanceof Violation) return error;
  return error instanceof Error && error.cause instanceof Violation ? error.cause : undefined;
}
