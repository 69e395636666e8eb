import { mkdirSync, writeFileSync } from 'node:fs';
import { cpus, release } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { checkedOut } from '../../scripts/checked-out.js';
import { measureControl } from './control-measure.js';
import { controlReport } from './control-report.js';
import { linkReport, linkRows, measureBare, measureLinks } from './link-report.js';
import { type Measurement, measure } from './measure.js';
import { progressOf } from './progress.js';
import { columns, markdownTable, type ReportFiles, report } from './report.js';

const usage = `npm run sim -- [options]             Babel by the thousand
npm run sim -- control [options]     whole members, each with control plane and data plane (default: 16 nodes)
npm run sim -- topology [options]    hops, survivors and delays of the product's choice of tunnels

  --nodes N         the largest network of the series (default 1000)
  --announcing N    how many of its nodes announce a prefix (default: all up to 2000 nodes, else 200)
  --only            that network alone, not the smaller ones of the series
  --seed S          default 1
  --seeds N         of topology: so many seeds, from that one on (default 1)
  --own N           tunnels each node makes of its own (default 10: mean degree 20)
  --watch N         check the invariants of one prefix in N after every event (default 10)
  --out FOLDER      where the report goes (default docs/reports)
`;

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    nodes: { type: 'string' },
    announcing: { type: 'string' },
    only: { type: 'boolean', default: false },
    seed: { type: 'string', default: '1' },
    seeds: { type: 'string', default: '1' },
    own: { type: 'string', default: '10' },
    watch: { type: 'string', default: '10' },
    out: { type: 'string', default: 'docs/reports' },
    help: { type: 'boolean', default: false },
  },
});

if (values.help || positionals.some((name) => name !== 'topology' && name !== 'control')) console.log(usage);
else if (positionals.includes('control')) runControl();
else if (positionals.length > 0) runTopology();
else run();

function runTopology(): void {
  const first = Number(values.seed);
  const seeds = Array.from({ length: Number(values.seeds) }, (_, i) => first + i);
  const figures = seeds.map((seed) => measureLinks(seed, (text) => console.error(text)));
  const bare = seeds.map((seed) => measureBare(seed, (text) => console.error(text)));
  write(linkReport(figures, bare, made(`topology --seed ${first} --seeds ${seeds.length}`)));
  for (const { what, measured, target, ok } of linkRows(figures)) {
    console.log(`${ok ? 'met' : 'MISSED'}  ${what}: ${measured} (${target})`);
  }
}

function runControl(): void {
  const largest = Number(values.nodes ?? 16);
  const seed = Number(values.seed);
  const sizes = [4, 8, 16, 32].filter((size) => size < largest && !values.only);
  const rows = [...sizes, largest].map((nodes) => measureControl(nodes, seed, console.log, progressOf('members')));
  const options = [`--nodes ${largest}`, ...(values.only ? ['--only'] : []), `--seed ${seed}`];
  write(controlReport(`sim-control-${largest}`, seed, made(`control ${options.join(' ')}`), rows));
  console.log(`report: ${join(values.out, `sim-control-${largest}.md`)}`);
}

/** What a report says of how it was made. */
function made(options: string): string {
  const machine = `${cpus()[0]?.model.trim() ?? 'unknown'}, ${cpus().length} cores, Linux ${release()}, Node ${process.versions.node}`;
  return `\`npm run sim -- ${options}\` at commit ${checkedOut()} (${machine})`;
}

function write(files: ReportFiles): void {
  mkdirSync(values.out, { recursive: true });
  for (const [name, content] of Object.entries(files)) writeFileSync(join(values.out, name), content);
}

function run(): void {
  const largest = Number(values.nodes ?? 1000);
  const seed = Number(values.seed);
  const series = largest > 2000 ? [100, 1000] : [50, 100, 200, 500, 1000];
  const sizes = series.filter((size) => size < largest && !values.only);
  const rows: Measurement[] = [];
  for (const nodes of [...sizes, largest]) {
    const announcing = Math.min(nodes, Number(values.announcing ?? (largest > 2000 ? 200 : nodes)));
    const progress = progressOf(`${nodes} nodes`);
    rows.push(
      measure({ nodes, seed, own: Number(values.own), announcing, watchOneIn: Number(values.watch), progress }),
    );
    if (process.stderr.isTTY) process.stderr.write('\r\x1b[K');
    console.log(
      markdownTable(columns, rows.slice(-1))
        .split('\n')
        .slice(rows.length > 1 ? 2 : 0)
        .join('\n'),
    );
  }
  const options = [`--nodes ${largest}`, ...(values.only ? ['--only'] : []), `--seed ${seed}`];
  const files = report(`sim-${largest}`, seed, made(options.join(' ')), rows);
  write(files);
  console.log(`report: ${join(values.out, `sim-${largest}.md`)}`);
}
