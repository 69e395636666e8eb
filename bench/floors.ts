import { bareWire } from './bare-wire.js';
import type { Part } from './part.js';
import type { Column } from './plot.js';
import type { Summary } from './statistics.js';
import type { VerifiedRow } from './verified.js';

/** What a row of the table of floors came to. */
export interface Verdict {
  readonly row: string;
  readonly floor: string;
  readonly goal: string;
  /** In the unit of the floor; absent when this run did not measure it. */
  readonly value?: number;
  /** weft's worst round against the other's best one. */
  readonly worst?: number;
  /** What was measured, or where it is. */
  readonly says: string;
  readonly outcome: 'goal met' | 'held' | 'missed' | 'not measured' | 'elsewhere';
}

const debian13 = 'wireguard-go (Debian 13)';
const debian12 = 'wireguard-go (Debian 12)';

interface Measured {
  readonly value: number;
  readonly worst?: number;
  readonly says: string;
}

interface Floor {
  readonly row: string;
  readonly floor: number;
  readonly goal?: number;
  readonly better: 'more' | 'less';
  /** How the floor is written; the number itself without it. */
  readonly written?: string;
  measure(run: Run): Measured | undefined;
}

class Run {
  readonly #columns: readonly Column[];
  readonly #parts: readonly Part[];

  constructor(columns: readonly Column[], parts: readonly Part[]) {
    this.#columns = columns;
    this.#parts = parts;
  }

  figure(contender: string, key: string): Summary | undefined {
    return this.#columns.find(({ name }) => name === contender)?.figures[key];
  }

  /** Nanoseconds. */
  part(key: Part['key']): number | undefined {
    return this.#parts.find((part) => part.key === key)?.nanos;
  }

  /** Of all that carry packets as weft does, the one with the least median; undefined while any lacks the figure. */
  leastOf(key: string): { readonly name: string; readonly figure: Summary } | undefined {
    const others = this.#columns.filter(({ name }) => name !== 'weft' && name !== bareWire);
    const have = others.flatMap(({ name, figures }) => (figures[key] ? [{ name, figure: figures[key] }] : []));
    if (have.length < others.length) return undefined;
    return have.sort((a, b) => a.figure.median - b.figure.median)[0];
  }
}

/** Where more is better: our median over the other's, and our least over its most. */
function over(ours: Summary | undefined, other: Summary | undefined, unit: string): Measured | undefined {
  if (!ours || !other) return undefined;
  const value = ours.median / other.median;
  return { value, worst: ours.least / other.most, says: `${value.toFixed(2)}: ${written(ours, other, unit)}` };
}

function written(ours: Summary, other: Summary, unit: string): string {
  const digits = unit === 'Mbit/s' ? 0 : 2;
  return `${ours.median.toFixed(digits)} to ${other.median.toFixed(digits)} ${unit}`;
}

function against(row: string, key: string, other: string, floor: number, goal?: number): Floor {
  const unit = key === 'udp1200' ? 'Mbit/s' : 'Gbit/s';
  return {
    row: `${row}, against ${other}`,
    floor,
    ...(goal === undefined ? {} : { goal }),
    better: 'more',
    measure: (run) => over(run.figure('weft', key), run.figure(other, key), unit),
  };
}

function notWorse(row: string, key: string): Floor {
  return {
    row: `${row}, against the best of them`,
    floor: 1,
    written: 'not worse',
    better: 'less',
    measure(run) {
      const [ours, best] = [run.figure('weft', key), run.leastOf(key)];
      if (!ours || !best) return undefined;
      const value = ours.median / best.figure.median;
      const says = `${value.toFixed(2)}: ${written(ours, best.figure, 'ms')} of ${best.name}`;
      return { value, worst: ours.most / best.figure.least, says };
    },
  };
}

/** What weft is to reach, as ratios inside one run wherever another's speed is the measure. */
const floors: readonly Floor[] = [
  against('one TCP stream', 'tcp1', debian13, 1.2, 2),
  against('eight TCP streams', 'tcp8', debian13, 1.2, 2),
  against('one TCP stream', 'tcp1', debian12, 4.2, 8),
  against('one TCP stream', 'tcp1', 'yggdrasil', 2.5),
  against('one TCP stream', 'tcp1', 'nebula', 4.2),
  against('UDP 1200 B, under 1 % lost', 'udp1200', debian13, 1.3),
  notWorse('round trip, idle', 'rtt-idle'),
  notWorse('round trip at 300 Mbit/s', 'rtt-300'),
  {
    row: 'one TCP stream through one relay, against direct',
    floor: 0.5,
    goal: 0.65,
    better: 'more',
    measure: (run) => over(run.figure('weft', 'relay1'), run.figure('weft', 'tcp1'), 'Gbit/s'),
  },
  {
    row: 'handshakes answered a second, one core',
    floor: 1000,
    better: 'more',
    measure(run) {
      const nanos = run.part('handshake');
      return nanos === undefined ? undefined : { value: 1e9 / nanos, says: (1e9 / nanos).toFixed(0) };
    },
  },
  {
    row: 'lookup among 100,000 prefixes, µs',
    floor: 0.2,
    better: 'less',
    measure(run) {
      const nanos = run.part('lookup');
      return nanos === undefined ? undefined : { value: nanos / 1000, says: (nanos / 1000).toFixed(3) };
    },
  },
];

/** What takes minutes of one figure is measured by `npm run verify -- plane`; a run tells what that found last. */
const verifiedRows: readonly (Pick<Verdict, 'row' | 'floor'> & { readonly begins: string })[] = [
  { row: 'memory, 2 peers, after a minute of full load, MB', floor: '90', begins: 'resident memory, 2 peers,' },
  { row: 'memory, 100 peers, after a minute of full load, MB', floor: '120', begins: 'resident memory, 100 peers' },
  { row: 'processor, idle, 10 tunnels, % of a core', floor: '0.5', begins: 'processor, idle, 10 tunnels' },
];

const allocation: Verdict = {
  row: 'allocation per packet',
  floor: 'none',
  goal: '',
  says: 'npm test (allocation, worker-allocation)',
  outcome: 'elsewhere',
};

/** The table of floors, row by row. Pure: the same figures give the same verdicts. */
export function verdicts(
  columns: readonly Column[],
  parts: readonly Part[],
  verified: readonly VerifiedRow[],
): Verdict[] {
  const run = new Run(columns, parts);
  const judged = floors.map((floor) => judge(floor, floor.measure(run)));
  const found = verifiedRows.map(({ row, floor, begins }): Verdict => {
    const last = verified.find(({ part, what }) => part === 'plane' && what.startsWith(begins));
    if (!last) return { row, floor, goal: '', says: 'npm run verify -- plane', outcome: 'not measured' };
    const says = `${last.measured}; npm run verify at ${last.commit}, ${last.date}`;
    return { row, floor, goal: '', says, outcome: last.isHeld ? 'held' : 'missed' };
  });
  return [...judged, ...found, allocation];
}

function judge({ row, floor, goal, better, written = String(floor) }: Floor, measured: Measured | undefined): Verdict {
  const texts = { row, floor: written, goal: goal === undefined ? '' : String(goal) };
  if (!measured) return { ...texts, says: '', outcome: 'not measured' };
  const reaches = (mark: number) => (better === 'more' ? measured.value >= mark : measured.value <= mark);
  const outcome = !reaches(floor) ? 'missed' : goal !== undefined && reaches(goal) ? 'goal met' : 'held';
  return { ...texts, ...measured, outcome };
}

/**
 * Whether the run speaks against weft: a floor was missed, or a run of everything lacks a row. What a run was not asked
 * for does not count.
 */
export function isFailed(all: readonly Verdict[], wasWhole: boolean): boolean {
  return all.some(({ outcome }) => outcome === 'missed' || (wasWhole && outcome === 'not measured'));
}

/** As cells: row, floor, goal, measured, worst round against best, outcome. */
export function verdictCells(all: readonly Verdict[]): string[][] {
  return all.map(({ row, floor, goal, says, worst, outcome }) => [
    row,
    floor,
    goal,
    says,
    worst === undefined ? '' : worst.toFixed(2),
    outcome === 'missed' ? 'MISSED' : outcome,
  ]);
}
