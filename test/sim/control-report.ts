import { type Plot, svgPlot } from '../../lab/plot.js';
import type { ControlMeasurement } from './control-measure.js';
import { type Column, markdownTable, type ReportFiles } from './report.js';

const columns: readonly Column<ControlMeasurement>[] = [
  ['members', (row) => String(row.nodes)],
  ['all have joined, one after the other, s', (row) => row.joinedSeconds.toFixed(1)],
  ['then full reachability, s', (row) => row.reachableSeconds.toFixed(2)],
  ['Babel at rest, kbit/s a node', (row) => (row.restBitsPerSecond / 1000).toFixed(2)],
  ['one dies without a word, all right after, s', (row) => row.lostNodeSeconds.toFixed(2)],
  ['mean hops', (row) => row.rest.meanHops.toFixed(2)],
  ['worst stretch', (row) => row.rest.worstStretch.toFixed(2)],
  ['memory of the run, MB', (row) => row.residentMegabytes.toFixed(0)],
  ['at its peak, MB', (row) => row.peakMegabytes.toFixed(0)],
  ['run, s of CPU', (row) => row.cpuSeconds.toFixed(0)],
];

/** The report of a series of networks of whole members: a page and its plots, named after `name`. */
export function controlReport(
  name: string,
  seed: number,
  made: string,
  rows: readonly ControlMeasurement[],
): ReportFiles {
  const against = (
    title: string,
    unit: string,
    lines: Readonly<Record<string, (row: ControlMeasurement) => number>>,
  ) => {
    const series = Object.entries(lines).map(([line, value]) => ({
      name: line,
      points: rows.map((row) => [row.nodes, value(row)] as const),
    }));
    return { title, x: { label: 'members', scale: 'logarithmic' }, y: { label: unit }, series } satisfies Plot;
  };
  const plots = {
    convergence: against('Convergence', 'simulated s', {
      'full reachability': (row) => row.reachableSeconds,
      'one died': (row) => row.lostNodeSeconds,
    }),
    traffic: against('Babel at rest', 'kbit/s sent by a node', { Babel: (row) => row.restBitsPerSecond / 1000 }),
    memory: against('Memory of the run', 'MB a member', {
      held: (row) => row.residentMegabytes / row.nodes,
      'at its peak': (row) => row.peakMegabytes / row.nodes,
    }),
  };
  const images = Object.entries(plots).map(([plot, drawn]) => [`${name}-${plot}.svg`, svgPlot(drawn)] as const);
  const page = `# Whole members in one process

Made by ${made}, seed ${seed}. Every member is the product's own control plane over its in-process data plane, with certificates,
handshakes, probes and datagrams, on a virtual clock and wires of 5 ms; each joins with a token of the first. The
invariants a, b, e and k of docs/decisions/simulator-watches-from-outside.md held after every event. The member that dies says
nothing: its neighbours find out by themselves.

${markdownTable(columns, rows)}

${images.map(([file]) => `![](${file})`).join('\n\n')}
`;
  return { [`${name}.md`]: page, ...Object.fromEntries(images) };
}
