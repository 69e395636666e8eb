import { type Paper, printable, tint, wrap } from './paper.js';

/**
 * A table for people: columns as wide as their widest cell, two spaces between, no trailing spaces. Columns whose header
 * ends in ">" are aligned right; those called STATE are coloured. The last line has its newline.
 *
 * On narrow paper the first columns that fit stay a table, and what a row has in the others is told below it, by name.
 */
export function table(headers: readonly string[], rows: readonly (readonly string[])[], paper: Paper): string {
  const columns = headers.map((header, i) => {
    const title = header.replace(/>$/, '');
    const cells = rows.map((row) => printable(row[i] ?? ''));
    return {
      title,
      cells,
      isRight: header.endsWith('>'),
      width: Math.max(title.length, ...cells.map((text) => text.length)),
    };
  });
  const shown = columns.slice(0, fitting(columns, paper.width));
  const line = (text: (column: (typeof columns)[number]) => string) =>
    shown
      .map((column) => {
        const padded = column.isRight ? text(column).padStart(column.width) : text(column).padEnd(column.width);
        return column.title === 'STATE' ? tint(padded, paper) : padded;
      })
      .join('  ')
      .replace(/ +$/, '');
  const lines = [line((column) => column.title)];
  for (let i = 0; i < rows.length; i++) {
    lines.push(line((column) => column.cells[i]!));
    const rest = columns
      .slice(shown.length)
      .filter((column) => column.cells[i] !== '' && column.cells[i] !== '-')
      .map((column) => `${column.title.toLowerCase()} ${column.cells[i]}`);
    if (rest.length > 0) lines.push(`    ${wrap(rest.join(', '), paper, 4)}`);
  }
  return lines.map((text) => `${text}\n`).join('');
}

/** How many of the first columns go side by side, at least one. */
function fitting(columns: readonly { readonly width: number }[], width: number): number {
  let used = -2;
  const over = columns.findIndex((column) => {
    used += 2 + column.width;
    return used > width;
  });
  return over === -1 ? columns.length : Math.max(1, over);
}
