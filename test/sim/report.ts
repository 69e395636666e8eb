import { type Plot, svgPlot } from '../../lab/plot.js';
import type { Measurement } from './measure.js';

export interface ReportFiles {
  /** File name to content. */
  readonly [name: string]: string;
}

/** A column: its title, and what a row has in it. */
export type Column<Row> = readonly [title: string, cell: (row: Row) => string];

export const columns: readonly Column<Measurement>[] = [
  ['nodes', (row) => String(row.nodes)],
  ['announcing', (row) => String(row.announcing)],
  ['mean degree', (row) => row.degree.toFixed(1)],
  ['cold start to full reachability, s', (row) => row.coldStartSeconds.toFixed(1)],
  ['sent until then, kB a node', (row) => (row.coldStartBytesPerNode / 1000).toFixed(0)],
  ['control at rest, kbit/s a node', (row) => (row.restBitsPerSecond / 1000).toFixed(2)],
  ['with UDP, IP and tunnel', (row) => (row.restWireBitsPerSecond / 1000).toFixed(2)],
  ['packets/s a node', (row) => row.restPacketsPerSecond.toFixed(2)],
  ['one node lost, all right after, s', (row) => row.lostNodeSeconds.toFixed(2)],
  ['mean hops', (row) => row.rest.meanHops.toFixed(2)],
  ['ways longer than the least', (row) => `${((100 * row.rest.longer) / Math.max(1, row.rest.pairs)).toFixed(1)} %`],
  ['worst stretch', (row) => row.rest.worstStretch.toFixed(2)],
  ['longer than hysteresis keeps', (row) => String(row.rest.beyond)],
  ['metrics believed and not so', (row) => String(row.rest.untrue)],
  ['table of routes, kB a node', (row) => (row.tableBytesPerNode / 1000).toFixed(0)],
  ['memory of the run, kB a node', (row) => (row.residentBytesPerNode / 1000).toFixed(0)],
  ['memory of the run, MB', (row) => row.residentMegabytes.toFixed(0)],
  ['at its peak, MB', (row) => row.peakMegabytes.toFixed(0)],
  ['run, s', (row) => row.wallSeconds.toFixed(0)],
  ['run, s of CPU', (row) => row.cpuSeconds.toFixed(0)],
];

/** The rows as a Markdown table. */
export function markdownTable<Row>(columns: readonly Column<Row>[], rows: readonly Row[]): string {
  return [
    `| ${columns.map(([name]) => name).join(' | ')} |`,
    `|${columns.map(() => '---:|').join('')}`,
    ...rows.map((row) => `| ${columns.map(([, cell]) => cell(row)).join(' | ')} |`),
  ].join('\n');
}

/** The report of a series of runs: a page and its plots, named after `name`. */
export function report(name: string, seed: number, made: string, rows: readonly Measurement[]): ReportFiles {
  const plots: Record<string, Plot> = {
    convergence: {
      title: 'Convergence',
      x: { label: 'nodes', scale: 'logarithmic' },
      y: { label: 'simulated s' },
      series: [
        { name: 'cold start', points: rows.map((row) => [row.nodes, row.coldStartSeconds] as const) },
        { name: 'one node lost', points: rows.map((row) => [row.nodes, row.lostNodeSeconds] as const) },
      ],
    },
    traffic: {
      title: 'Control traffic at rest',
      x: { label: 'nodes', scale: 'logarithmic' },
      y: { label: 'kbit/s sent by a node' },
      series: [
        { name: 'Babel', points: rows.map((row) => [row.nodes, row.restBitsPerSecond / 1000] as const) },
        { name: 'on the wire', points: rows.map((row) => [row.nodes, row.restWireBitsPerSecond / 1000] as const) },
      ],
    },
    memory: {
      title: 'Memory',
      x: { label: 'nodes', scale: 'logarithmic' },
      y: { label: 'kB a node' },
      series: [
        { name: 'table of routes', points: rows.map((row) => [row.nodes, row.tableBytesPerNode / 1000] as const) },
        { name: 'the whole run', points: rows.map((row) => [row.nodes, row.residentBytesPerNode / 1000] as const) },
      ],
    },
  };
  const images = Object.entries(plots).map(([plot, drawn]) => [`${name}-${plot}.svg`, svgPlot(drawn)] as const);
  const page = `# Babel by the thousand

Made by ${made}, seed ${seed}. Every node runs the product's own speaker with its default tuning, on a virtual clock; a keyed
hash stands for signatures. Tunnels: random, with one-way delays of 5 to 50 ms and 2 ms of jitter, all switched on within half a
second. "Right" after a loss means: every remaining node has a route to every remaining prefix, none by the lost node, and none to
the lost node's prefix. Counted from the moment the neighbours know of the loss. Traffic at rest is that of a minute,
with the tunnels' periodic updates spread evenly over their interval of five. Of one prefix in ten the invariants of loops, feasibility, growing
metrics and own seqnos held after every event. At rest every way was compared with Dijkstra's: longer than that is what hysteresis
keeps, which is bounded (test/sim/shortest.ts); and of the watched prefixes each node's metric with what its way costs. The table
of routes is the largest a speaker has, by its own account at rest; the memory of the run is the whole process, with the simulated links,
the packets under way and the invariants.

${markdownTable(columns, rows)}

${extrapolation(rows)}
${images.map(([file]) => `![](${file})`).join('\n\n')}
`;
  return { [`${name}.md`]: page, ...Object.fromEntries(images) };
}

function extrapolation(rows: readonly Measurement[]): string {
  const last = rows.at(-1);
  if (!last || last.announcing === last.nodes) return '';
  const factor = last.nodes / last.announcing;
  const rest = (last.restWireBitsPerSecond / 1000) * factor;
  return `**Extrapolated, not simulated.** In the last row only ${last.announcing} of ${last.nodes} nodes announce a prefix. Tables and periodic updates
grow in proportion to the number of prefixes, so with all ${last.nodes} announcing a node would send at most about ${rest.toFixed(0)} kbit/s at rest
(the part of it that is Hellos does not grow) and send ${((last.coldStartBytesPerNode * factor) / 1e6).toFixed(1)} MB until everything is reachable after a cold start.
`;
}
