/** One figure with its target, as a scenario reports it to `npm run verify`. */
export interface Row {
  readonly what: string;
  readonly target: string;
  readonly measured: string;
  readonly ok: boolean;
}

const mark = 'verify-row ';

/** Prints the row on standard output, where scripts/verify.ts picks it up. */
export function reportRow(row: Row): void {
  console.log(mark + JSON.stringify(row));
}

export function readRow(line: string): Row | undefined {
  return line.startsWith(mark) ? (JSON.parse(line.slice(mark.length)) as Row) : undefined;
}
