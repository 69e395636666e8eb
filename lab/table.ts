/** Rows as aligned text, the first one as its head. Empty cells show as a dash. */
export function table(
  head: readonly string[],
  rows: readonly (readonly (string | number | null | undefined)[])[],
): string {
  const text = [head, ...rows].map((row) => head.map((_, i) => cell(row[i])));
  const widths = head.map((_, i) => Math.max(...text.map((row) => row[i]!.length)));
  return text
    .map((row) =>
      row
        .map((word, i) => word.padEnd(widths[i]!))
        .join('  ')
        .trimEnd(),
    )
    .join('\n');
}

function cell(value: string | number | null | undefined): string {
  if (value === null || value === undefined || value === '') return '–';
  return String(value);
}
