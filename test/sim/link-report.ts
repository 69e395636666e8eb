import { type Plot, svgPlot } from '../../lab/plot.js';
import type { Row } from '../../scripts/verify-row.js';
import {
  type CutFigures,
  type DelayFigures,
  type DelayRow,
  type HopFigures,
  measureCut,
  measureDelays,
  measureHops,
  re6stnetHops,
} from './link-figures.js';
import type { ReportFiles } from './report.js';

export interface LinkFigures {
  readonly seed: number;
  readonly hops: readonly HopFigures[];
  readonly cut: CutFigures;
  readonly delays: DelayFigures;
}

const settled = 600;
const minutes = [1, 2, 5, 10, 20, 30];

/** Everything the report is made of; some minutes of computing. */
export function measureLinks(seed: number, progress: (text: string) => void): LinkFigures {
  const hops = [...re6stnetHops.keys()].map((nodes) => {
    progress(`hops of ${nodes} nodes`);
    return measureHops(nodes, seed, settled);
  });
  progress('half of 2000 nodes dead');
  const cut = measureCut(2000, seed, settled, 10_000);
  progress('delays of 2500 nodes');
  const at = minutes.map((count) => count * 60);
  const delays = measureDelays({ nodes: 2500, seed, flows: 1250, at, rounds: 6 });
  return { seed, hops, cut, delays };
}

/** The figures against their targets. */
export function linkRows({ hops, cut, delays }: LinkFigures): Row[] {
  const last = delays.weft.at(-1)!;
  const rule = delays.re6stnet.at(-1)!;
  const limit = (nodes: number) => 1.1 * re6stnetHops.get(nodes)!;
  return [
    ...hops.map(({ nodes, hops, largestDegree }) => ({
      what: `${nodes} nodes: average hops, ten own tunnels, cap 30`,
      target: `at most ${limit(nodes).toFixed(2)}`,
      measured: `${hops.toFixed(2)}, largest degree ${largestDegree}`,
      ok: hops <= limit(nodes) && largestDegree <= 30,
    })),
    {
      what: 'half of 2000 nodes dead: two survivors cut off',
      target: 'at most 2e-5',
      measured: cut.cutOff.toExponential(1),
      ok: cut.cutOff <= 2e-5,
    },
    {
      what: `2500 nodes, ${last.seconds / 60} simulated minutes: average path delay over all pairs`,
      target: 'at most 1.4 times the optimum over all links',
      measured: `${last.allPairsRatio.toFixed(3)} (re6stnet’s rule: ${rule.allPairsRatio.toFixed(3)})`,
      ok: last.allPairsRatio <= 1.4,
    },
    {
      what: 'the same over pairs with traffic',
      target: 'at most 1.05 times',
      measured: `${last.withTrafficRatio.toFixed(3)} (re6stnet’s rule: ${rule.withTrafficRatio.toFixed(3)})`,
      ok: last.withTrafficRatio <= 1.05,
    },
  ];
}

/** The page and its plots. */
export function linkReport(figures: LinkFigures, command: string): ReportFiles {
  const { seed, hops, cut, delays } = figures;
  const last = delays.weft.at(-1)!;
  const images = Object.entries(plots(figures)).map(([name, plot]) => [`topology-${name}.svg`, svgPlot(plot)] as const);
  const page = `# Who has a tunnel to whom: what it costs, what it bears

Made by \`${command}\`, seed ${seed}. Every node runs the product's own \`Topology\` (src/mesh/topology.ts) on a virtual clock and
tells its neighbours who is near to it in real messages; the rest of the product is left out. A dial succeeds within the second
where the other side admits it, and is silence otherwise. No figure here needs a network.

## Against the targets

| what | target | measured | |
|---|---|---|---|
${linkRows(figures)
  .map(({ what, target, measured, ok }) => `| ${what} | ${target} | ${measured} | ${ok ? 'met' : '**missed**'} |`)
  .join('\n')}

## Hops

After ${settled / 60} simulated minutes, over all pairs from at most 1600 nodes. re6stnet: its own simulation of random graphs with ten own tunnels.

| nodes | hops | re6stnet | ratio | mean degree | largest degree ever |
|---:|---:|---:|---:|---:|---:|
${hops
  .map(({ nodes, hops, meanDegree, largestDegree }) => {
    const theirs = re6stnetHops.get(nodes)!;
    return `| ${nodes} | ${hops.toFixed(3)} | ${theirs} | ${(hops / theirs).toFixed(3)} | ${meanDegree.toFixed(2)} | ${largestDegree} |`;
  })
  .join('\n')}

![](topology-hops.svg)

## Half of the nodes dead

${cut.samples} samples of a random half of ${cut.nodes} nodes killed at once; nobody makes a new tunnel. The chance that two survivors
have no way to each other: ${cut.cutOff.toExponential(2)}. It is decided by the nodes with the fewest tunnels, so whom few others
choose makes more itself: the least degree is ${cut.degrees[0]}, one node in twenty has at most ${at(cut.degrees, 0.05)}, half have at most ${at(cut.degrees, 0.5)}.

![](topology-degrees.svg)

## Delay

The model (test/sim/underlay-model.ts, test/sim/cities.ts): ${delays.nodes} nodes in cities, three carriers in each, spread as Internet users
are. A round trip is 5 ms of last mile for each end, and light in fibre over 1.3 times the great circle and a detour: log-normal
(σ 0.8) around the distance, or around 1000 km where it is longer, one for each pair of carriers. A relay costs its own last mile
twice. ${delays.flows} pairs drawn at random have traffic the whole time, on the shortest way there is. Round trips, all ${delays.nodes}² pairs:
direct ${delays.direct.toFixed(1)} ms; optimum over all links ${delays.optimum.toFixed(1)} ms, where every pair has a tunnel and relays are used wherever they help.

${delayTable('weft', delays.weft)}

${delayTable('re6stnet’s rule: every 300 s the own tunnel with the fewest routes goes, a random one comes', delays.re6stnet)}

At the end ${((last.allPairsRatio - 1) * 100).toFixed(0)} % above the optimum over all pairs, ${((last.withTrafficRatio - 1) * 100).toFixed(1)} % over pairs with traffic, which soon have a shortcut tunnel.
Shortcuts come on top of the ten own tunnels; without traffic the mean degree is that of the first table.

![](topology-delay.svg)
`;
  return { 'topology.md': page, ...Object.fromEntries(images) };
}

function delayTable(title: string, rows: readonly DelayRow[]): string {
  return `| ${title}: minutes | all pairs, ms | times the optimum | pairs with traffic, ms | times the optimum | mean degree |
|---:|---:|---:|---:|---:|---:|
${rows
  .map(
    (row) =>
      `| ${row.seconds / 60} | ${row.allPairs.toFixed(1)} | ${row.allPairsRatio.toFixed(3)} | ${row.withTraffic.toFixed(1)} | ${row.withTrafficRatio.toFixed(3)} | ${row.meanDegree.toFixed(1)} |`,
  )
  .join('\n')}`;
}

function plots({ hops, cut, delays }: LinkFigures): Record<string, Plot> {
  const ratio = (name: string, rows: readonly DelayRow[], value: (row: DelayRow) => number) => ({
    name,
    points: rows.map((row) => [row.seconds / 60, value(row)] as const),
  });
  return {
    hops: {
      title: 'Average hops',
      x: { label: 'nodes', scale: 'logarithmic' },
      y: { label: 'hops' },
      series: [
        { name: 'weft', points: hops.map(({ nodes, hops }) => [nodes, hops] as const) },
        { name: 're6stnet', points: [...re6stnetHops] },
        { name: 'target', points: [...re6stnetHops].map(([nodes, hops]) => [nodes, 1.1 * hops] as const) },
      ],
    },
    degrees: {
      title: 'Tunnels of a node',
      x: { label: 'tunnels' },
      y: { label: 'nodes with at most so many, %' },
      series: [
        {
          name: 'weft',
          points: [...new Set(cut.degrees)].map((degree) => {
            const count = cut.degrees.filter((other) => other <= degree).length;
            return [degree, (100 * count) / cut.nodes] as const;
          }),
        },
      ],
    },
    delay: {
      title: 'Average path delay, times the optimum over all links',
      x: { label: 'simulated minutes' },
      y: { label: 'times the optimum' },
      series: [
        ratio('weft, all pairs', delays.weft, (row) => row.allPairsRatio),
        ratio('weft, pairs with traffic', delays.weft, (row) => row.withTrafficRatio),
        ratio('re6stnet’s rule, all pairs', delays.re6stnet, (row) => row.allPairsRatio),
      ],
    },
  };
}

function at(sorted: readonly number[], part: number): number {
  return sorted[Math.floor(part * sorted.length)]!;
}
