/** The prefix of an invitation (src/addr/invitation.ts) and more of it than any name that begins so. */
const tokenLike = /weft1[a-z2-7]{16,}/gi;

/**
 * The text without invitation tokens: they are secrets, and operators paste them where a name or an option was meant.
 * What complains about it may go to a log, a ticket or another program.
 */
export function withoutTokens(text: string): string {
  return text.replace(tokenLike, '[token]');
}

/**
 * An operator's mistake or an unfit environment, never remote misbehaviour and never our bug (STYLE 17).
 *
 * `code` is stable and kebab-case ("token-expired"); `message` is one line that says what is wrong; `cure` one line that
 * says what to do. `bin/` prints "message; cure" and exits 1. Neither quotes a token.
 */
export class MeshError extends Error {
  override readonly name = 'MeshError';
  readonly code: string;
  readonly cure: string;

  constructor(code: string, message: string, cure: string, options?: { cause?: unknown }) {
    super(withoutTokens(message), options);
    this.code = code;
    this.cure = withoutTokens(cure);
  }
}
