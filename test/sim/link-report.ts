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
  tenAndNoMore,
} from './link-figures.js';
import type { ReportFiles } from './report.js';

export interface LinkFigures {
  readonly seed: number;
  readonly hops: readonly HopFigures[];
  readonly cut: CutFigures;
  readonly delays: DelayFigures;
}

/** Ten own tunnels and no more, for what the extra ones cost and bring. */
export interface BareFigures {
  readonly hops: HopFigures;
  readonly cut: CutFigures;
}

const settled = 600;
const minutes = [1, 2, 5, 10, 20, 30];
const samples = 10_000;

/** What has targets, of one seed; some minutes of computing. */
export function measureLinks(seed: number, progress: (text: string) => void): LinkFigures {
  const hops = [...re6stnetHops.keys()].map((nodes) => {
    progress(`seed ${seed}: hops of ${nodes} nodes`);
    return measureHops(nodes, seed, settled);
  });
  progress(`seed ${seed}: half of 2000 nodes dead`);
  const cut = measureCut(2000, seed, settled, samples);
  progress(`seed ${seed}: delays of 2500 nodes`);
  const at = minutes.map((count) => count * 60);
  const delays = measureDelays({ nodes: 2500, seed, flows: 1250, at, rounds: 6 });
  return { seed, hops, cut, delays };
}

export function measureBare(seed: number, progress: (text: string) => void): BareFigures {
  progress(`seed ${seed}: ten own tunnels and no more`);
  return {
    hops: measureHops(1600, seed, settled, tenAndNoMore),
    cut: measureCut(2000, seed, settled, samples, tenAndNoMore),
  };
}

/** The figures of all seeds against their targets: the worst counts, and the spread is told. */
export function linkRows(all: readonly LinkFigures[]): Row[] {
  const [{ hops: sizes, delays }] = all as [LinkFigures];
  const lasts = all.map((each) => each.delays.weft.at(-1)!);
  const rules = all.map((each) => each.delays.re6stnet.at(-1)!);
  const limit = (nodes: number) => 1.1 * re6stnetHops.get(nodes)!;
  const worst = (values: readonly number[]) => Math.max(...values);
  return [
    ...sizes.map(({ nodes }, i) => {
      const hops = all.map((each) => each.hops[i]!.hops);
      const largest = worst(all.map((each) => each.hops[i]!.largestDegree));
      return {
        what: `${nodes} nodes: average hops, ten own tunnels, cap 30`,
        target: `at most ${limit(nodes).toFixed(2)}`,
        measured: `${spread(hops, 2)}, largest degree ${largest}`,
        ok: worst(hops) <= limit(nodes) && largest <= 30,
      };
    }),
    {
      what: 'half of 2000 nodes dead: two survivors cut off',
      target: 'at most 2e-5',
      measured: spreadOf(
        all.map(({ cut }) => cut.cutOff),
        (value) => value.toExponential(1),
      ),
      ok: worst(all.map(({ cut }) => cut.cutOff)) <= 2e-5,
    },
    {
      what: `${delays.nodes} nodes, ${minutes.at(-1)} simulated minutes: average path delay over all pairs`,
      target: 'at most 1.4 times the optimum over all links',
      measured: `${spread(lasts.map((row) => row.allPairsRatio))} (re6stnet’s rule: ${spread(rules.map((row) => row.allPairsRatio))})`,
      ok: worst(lasts.map((row) => row.allPairsRatio)) <= 1.4,
    },
    {
      what: 'the same over pairs with traffic',
      target: 'at most 1.05 times',
      measured: `${spread(lasts.map((row) => row.withTrafficRatio))} (re6stnet’s rule: ${spread(rules.map((row) => row.withTrafficRatio))})`,
      ok: worst(lasts.map((row) => row.withTrafficRatio)) <= 1.05,
    },
  ];
}

/** The page and its plots, which are of the first seed. */
export function linkReport(all: readonly LinkFigures[], bareOnes: readonly BareFigures[], made: string): ReportFiles {
  const [first] = all as [LinkFigures];
  const { cut, delays } = first;
  const last = delays.weft.at(-1)!;
  const images = Object.entries(plots(first)).map(([name, plot]) => [`topology-${name}.svg`, svgPlot(plot)] as const);
  const cuts = (of: readonly { readonly cut: CutFigures }[]) => ({
    cutOff: spreadOf(
      of.map((each) => each.cut.cutOff),
      (value) => value.toExponential(2),
    ),
    degree: spread(
      of.map((each) => each.cut.meanDegree),
      2,
    ),
    least: spread(
      of.map((each) => each.cut.degrees[0]!),
      0,
    ),
  });
  const [whole, bare] = [cuts(all), cuts(bareOnes)];
  const page = `# Who has a tunnel to whom: what it costs, what it bears

Made by ${made}, seeds ${all.map(({ seed }) => seed).join(', ')}; where they differ, the least and the greatest are told, and the
worst counts. Every node runs the product's own \`Topology\` (src/mesh/topology.ts) on a virtual clock and
tells its neighbours who is near to it in real messages; the rest of the product is left out. A dial succeeds within the second
where the other side admits it, and is silence otherwise. No figure here needs a network.

## Against the targets

| what | target | measured | |
|---|---|---|---|
${linkRows(all)
  .map(({ what, target, measured, ok }) => `| ${what} | ${target} | ${measured} | ${ok ? 'met' : '**missed**'} |`)
  .join('\n')}

## Hops and degree

After ${settled / 60} simulated minutes, over all pairs from at most 1600 nodes. re6stnet: its own simulation of random graphs with ten own tunnels.

| nodes | hops | re6stnet | ratio | mean degree | largest degree ever |
|---:|---:|---:|---:|---:|---:|
${first.hops
  .map(({ nodes }, i) => {
    const theirs = re6stnetHops.get(nodes)!;
    const of = (value: (figures: HopFigures) => number) => all.map(({ hops }) => value(hops[i]!));
    const hops = of((each) => each.hops);
    const ratios = hops.map((value) => value / theirs);
    const degrees = of((each) => each.meanDegree);
    const largest = of((each) => each.largestDegree);
    return `| ${nodes} | ${spread(hops)} | ${theirs} | ${spread(ratios)} | ${spread(degrees, 2)} | ${Math.max(...largest)} |`;
  })
  .join('\n')}

The mean degree is above twenty because whom few others choose makes more tunnels than ten. Without that rule, ten own ones and no more,
it is ${bare.degree} among 2000 nodes instead of ${whole.degree}, and 1600 nodes are ${spread(bareOnes.map((each) => each.hops.hops))} hops apart. The next
section has what the extra ones are for.

![](topology-hops.svg)

## Half of the nodes dead

${cut.samples} samples of a random half of ${cut.nodes} nodes killed at once, for each seed; nobody makes a new tunnel. The chance that two survivors
have no way to each other, and the least tunnels of any node:

| rule | chance | least degree | mean degree |
|---|---:|---:|---:|
| as it is | ${whole.cutOff} | ${whole.least} | ${whole.degree} |
| ten own tunnels and no more | ${bare.cutOff} | ${bare.least} | ${bare.degree} |

It is decided by the nodes with the fewest tunnels. With the rule one node in twenty has at most ${at(cut.degrees, 0.05)}, half have at most ${at(cut.degrees, 0.5)}.

![](topology-degrees.svg)

## Delay

The model (test/sim/underlay-model.ts, test/sim/cities.ts): ${delays.nodes} nodes in cities, three carriers in each, spread as Internet users
are. A round trip is 5 ms of last mile for each end, and light in fibre over 1.3 times the great circle and a detour: log-normal
(σ 0.8) around the distance, or around 1000 km where it is longer, one for each pair of carriers. A relay costs its own last mile
twice. ${delays.flows} pairs drawn at random have traffic the whole time. Every way, of pairs with traffic and without, is the one that the
product's routing takes: of least cost by src/routing/link-cost.ts, where a hop costs as much as 10 ms, and not the shortest there is.
Round trips, all ${delays.nodes}² pairs: direct ${delays.direct.toFixed(1)} ms; optimum over all links ${delays.optimum.toFixed(1)} ms, where every pair has a tunnel and relays
are used wherever they help. Of seed ${first.seed}:

${delayTable('weft', delays.weft)}

${delayTable('re6stnet’s rule: every 300 s the own tunnel with the fewest routes goes, a random one comes', delays.re6stnet)}

At the end ${((last.allPairsRatio - 1) * 100).toFixed(0)} % above the optimum over all pairs, ${((last.withTrafficRatio - 1) * 100).toFixed(1)} % over pairs with traffic, which soon have a shortcut tunnel.
Shortcuts come on top of the ten own tunnels; without traffic the mean degree is that of the first table.

![](topology-delay.svg)
`;
  return { 'topology.md': page, ...Object.fromEntries(images) };
}

/** One value, or the least and the greatest of several. */
function spreadOf(values: readonly number[], text: (value: number) => string): string {
  const [least, greatest] = [text(Math.min(...values)), text(Math.max(...values))];
  return least === greatest ? least : `${least} to ${greatest}`;
}

function spread(values: readonly number[], digits = 3): string {
  return spreadOf(values, (value) => value.toFixed(digits));
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
