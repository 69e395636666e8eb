/**
 * A table for people: columns as wide as their widest cell, two spaces between, no trailing spaces. Columns whose header
 * ends in ">" are aligned right. The last line has its newline.
 */
export function table(headers: readonly string[], rows: readonly (readonly string[])[]): string {
  const right = headers.map((header) => header.endsWith('>'));
  const titles = headers.map((header) => header.replace(/>$/, ''));
  const all = [titles, ...rows.map((row) => row.map(printable))];
  const widths = titles.map((_, i) => Math.max(...all.map((row) => (row[i] ?? '').length)));
  return all
    .map((row) =>
      titles
        .map((_, i) => (right[i] ? (row[i] ?? '').padStart(widths[i]!) : (row[i] ?? '').padEnd(widths[i]!)))
        .join('  ')
        .trimEnd(),
    )
    .map((line) => `${line}\n`)
    .join('');
}

/** What other nodes chose, such as reasons, may hold control characters; a terminal must not obey them. */
export function printable(text: string): string {
  return text.replace(/\p{C}/gu, '?');
}
