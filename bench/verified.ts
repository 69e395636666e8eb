/** A row of docs/verified.md: what a part of `npm run verify` measured, when and of which commit. */
export interface VerifiedRow {
  readonly part: string;
  readonly what: string;
  readonly measured: string;
  readonly isHeld: boolean;
  readonly date: string;
  readonly commit: string;
}

/** The rows of the table that scripts/verify-results.ts writes; a line that is none is left out. */
export function readVerified(text: string): VerifiedRow[] {
  return text.split('\n').flatMap((line) => {
    const [, part, what, , measured, held, date, commit, seconds] = line.split(/(?<!\\)\|/).map((cell) => cell.trim());
    if (part === undefined || !/^\d+$/.test(seconds ?? '')) return [];
    return [{ part, what: what!, measured: measured!, isHeld: held === 'yes', date: date!, commit: commit! }];
  });
}
