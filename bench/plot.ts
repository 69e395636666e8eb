import { bareWire } from './bare-wire.js';
import { type Figure, figures } from './round.js';
import type { Summary } from './statistics.js';

/** What one contender reached, by figure. */
export interface Column {
  readonly name: string;
  readonly version: string;
  readonly figures: Readonly<Record<string, Summary>>;
}

const width = 760;
const barHeight = 20;
const labelWidth = 190;
const barWidth = 420;

/** Bars of every figure, one block each; the whisker spans all rounds. Standalone SVG. */
export function plot(columns: readonly Column[], caption: string): string {
  const parts: string[] = [];
  let y = 30;
  const text = (x: number, at: number, words: string, more = '') =>
    parts.push(`<text x="${x}" y="${at}" ${more}>${escaped(words)}</text>`);
  text(16, y, caption, 'class="caption"');
  for (const figure of figures) {
    // The bare wire would dwarf the rest: it is in the table.
    const rows = columns.filter(({ name, figures: own }) => name !== bareWire && own[figure.key]);
    if (rows.length === 0) continue;
    y += 40;
    text(16, y, `${figure.title}, ${figure.unit} (${figure.better} is better)`, 'class="title"');
    const most = Math.max(...rows.map(({ figures: own }) => own[figure.key]!.most));
    const scale = (value: number) => (most > 0 ? (value / most) * barWidth : 0);
    for (const { name, figures: own } of rows) {
      const { median, least, most: top } = own[figure.key]!;
      y += barHeight + 6;
      const middle = y - barHeight / 2;
      const fill = name === 'weft' ? '#c2410c' : '#94a3b8';
      text(labelWidth, y - 5, name, 'text-anchor="end"');
      parts.push(
        `<rect x="${labelWidth + 10}" y="${y - barHeight}" width="${scale(median).toFixed(1)}" height="${barHeight}" fill="${fill}"/>`,
        `<path d="M${labelWidth + 10 + scale(least)} ${middle}h${scale(top - least).toFixed(1)}" stroke="#334155"/>`,
      );
      text(labelWidth + 20 + scale(top), y - 5, number(figure, median));
    }
  }
  const style = 'text{font:13px sans-serif;fill:#1e293b}.title{font-weight:bold}.caption{fill:#475569}';
  return `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${y + 24}"><style>${style}</style><rect width="100%" height="100%" fill="#fff"/>${parts.join('\n')}</svg>\n`;
}

export function number(figure: Figure, value: number): string {
  return value.toFixed(figure.digits);
}

function escaped(words: string): string {
  return words.replace(/[&<>]/g, (sign) => ({ '&': '&amp;', '<': '&lt;', '>': '&gt;' })[sign]!);
}
