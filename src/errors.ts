/**
 * An operator's mistake or an unfit environment, never remote misbehaviour and never our bug (STYLE 17).
 *
 * `code` is stable and kebab-case ("token-expired"); `message` is one line that says what is wrong; `cure` one line that
 * says what to do. `bin/` prints "message; cure" and exits 1.
 */
export class MeshError extends Error {
  override readonly name = 'MeshError';
  readonly code: string;
  readonly cure: string;

  constructor(code: string, message: string, cure: string, options?: { cause?: unknown }) {
    super(message, options);
    this.code = code;
    this.cure = cure;
  }
}
