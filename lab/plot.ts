/** One line of a plot; points in the order in which they are joined. */
export interface Series {
  readonly name: string;
  readonly points: readonly (readonly [number, number])[];
}

export interface Plot {
  readonly title: string;
  /** With the unit, such as "nodes" or "simulated s". */
  readonly x: Axis;
  readonly y: Axis;
  readonly series: readonly Series[];
}

export interface Axis {
  readonly label: string;
  readonly scale?: 'linear' | 'logarithmic';
}

const width = 640;
const height = 360;
const frame = { left: 72, right: 16, top: 44, bottom: 52 };
/** Told apart by colour and by dash, on light and on dark. */
const strokes = ['#2f7ed8', '#d9822b', '#2e9e5b', '#b04fc0', '#c23b3b', '#7d8590'];
const dashes = ['', '6 3', '2 3', '8 3 2 3', '12 4', '1 2'];

/** The plot as an SVG document of its own: no script, no font, readable on a light and on a dark page. */
export function svgPlot(plot: Plot): string {
  const points = plot.series.flatMap((series) => series.points);
  const x = scaleOf(
    plot.x,
    points.map((point) => point[0]),
    frame.left,
    width - frame.right,
  );
  const y = scaleOf(
    plot.y,
    points.map((point) => point[1]),
    height - frame.bottom,
    frame.top,
  );
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" role="img" aria-label="${escaped(plot.title)}">
<style>text{font:12px system-ui,sans-serif;fill:#1f2328}.title{font-weight:600;font-size:14px}.grid{stroke:#d0d7de;stroke-width:1}.page{fill:#fff}
@media(prefers-color-scheme:dark){text{fill:#e6edf3}.grid{stroke:#3d444d}.page{fill:#0d1117}}</style>
<rect class="page" width="${width}" height="${height}"/>
<text class="title" x="${frame.left}" y="20">${escaped(plot.title)}</text>
${x.ticks
  .map(
    (tick) =>
      `<path class="grid" d="M${x.at(tick)} ${frame.top}V${height - frame.bottom}"/><text x="${x.at(tick)}" y="${height - frame.bottom + 18}" text-anchor="middle">${short(tick)}</text>`,
  )
  .join('\n')}
${y.ticks
  .map(
    (tick) =>
      `<path class="grid" d="M${frame.left} ${y.at(tick)}H${width - frame.right}"/><text x="${frame.left - 8}" y="${y.at(tick) + 4}" text-anchor="end">${short(tick)}</text>`,
  )
  .join('\n')}
<text x="${(frame.left + width - frame.right) / 2}" y="${height - 10}" text-anchor="middle">${escaped(plot.x.label)}</text>
<text transform="translate(16 ${(frame.top + height - frame.bottom) / 2}) rotate(-90)" text-anchor="middle">${escaped(plot.y.label)}</text>
${plot.series
  .map((series, index) => {
    const colour = strokes[index % strokes.length]!;
    const points = series.points.filter((point) => point.every(Number.isFinite));
    const path = points.map(([px, py]) => `${x.at(px)} ${y.at(py)}`).join('L');
    const marks = points.length > 40 ? [] : points;
    return `<path d="M${path}" fill="none" stroke="${colour}" stroke-width="2" stroke-dasharray="${dashes[index % dashes.length]}"/>
${marks.map(([px, py]) => `<circle cx="${x.at(px)}" cy="${y.at(py)}" r="3" fill="${colour}"/>`).join('')}`;
  })
  .join('\n')}
${plot.series.length > 1 ? legend(plot.series) : ''}
</svg>
`;
}

function legend(series: readonly Series[]): string {
  let at = frame.left;
  return series
    .map((one, index) => {
      const place = at;
      at += 34 + 7 * one.name.length;
      return `<path d="M${place} 33h20" stroke="${strokes[index % strokes.length]}" stroke-width="2" stroke-dasharray="${dashes[index % dashes.length]}"/><text x="${place + 24}" y="37">${escaped(one.name)}</text>`;
    })
    .join('');
}

function scaleOf(axis: Axis, values: readonly number[], from: number, to: number) {
  const finite = values.filter((value) => Number.isFinite(value));
  const largest = Math.max(...finite, axis.scale === 'logarithmic' ? 10 : 0);
  if (axis.scale === 'logarithmic') {
    const low = Math.floor(Math.log10(Math.max(1e-9, Math.min(...finite.filter((value) => value > 0), largest))));
    const high = Math.max(low + 1, Math.ceil(Math.log10(largest)));
    const ticks = Array.from({ length: high - low + 1 }, (_, i) => 10 ** (low + i));
    const at = (value: number) =>
      rounded(from + ((Math.log10(Math.max(value, 10 ** low)) - low) / (high - low)) * (to - from));
    return { ticks, at };
  }
  const step = niceStep((largest || 1) / 5);
  const high = step * Math.ceil((largest || 1) / step);
  const ticks = Array.from({ length: Math.round(high / step) + 1 }, (_, i) => i * step);
  return { ticks, at: (value: number) => rounded(from + (value / high) * (to - from)) };
}

function niceStep(rough: number): number {
  const power = 10 ** Math.floor(Math.log10(rough));
  return power * ([1, 2, 5, 10].find((factor) => factor * power >= rough) ?? 10);
}

function rounded(value: number): number {
  return Math.round(value * 10) / 10;
}

function short(value: number): string {
  if (value >= 1e6) return `${Number((value / 1e6).toPrecision(3))} M`;
  if (value >= 1e4) return `${Number((value / 1e3).toPrecision(3))} k`;
  return String(Number(value.toPrecision(3)));
}

function escaped(text: string): string {
  return text.replace(/[&<>"]/g, (sign) => `&#${sign.charCodeAt(0)};`);
}
