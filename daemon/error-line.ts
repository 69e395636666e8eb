import { MeshError, withoutTokens } from '../src/errors.js';

/** One line that says what is wrong and what to do; for our own bugs the stack. */
export function errorLine(error: unknown): string {
  if (error instanceof MeshError) return `${error.message}; ${error.cure}`;
  return withoutTokens(error instanceof Error ? (error.stack ?? error.message) : String(error));
}
