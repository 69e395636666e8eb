/** One thing weft does, alone on one core. */
export interface Part {
  /** Where a floor asks for it. */
  readonly key?: 'lookup' | 'handshake';
  readonly what: string;
  /** The median of its runs, and the least and most of them. */
  readonly nanos: number;
  readonly least: number;
  readonly most: number;
  /** Octets the heap grew by, each time. */
  readonly heap?: number;
}

/** For a person. */
export function partLine({ what, nanos, least, most, heap }: Part): string {
  const [scale, unit] = nanos < 10_000 ? [1, 'ns'] : [1000, 'µs'];
  const time = (value: number) => (value / scale).toFixed(scale === 1 ? 0 : 1);
  const spread = `(${time(least)}–${time(most)})`;
  const columns = [
    what.padEnd(58),
    `${time(nanos)} ${unit}`.padStart(10),
    ` ${spread.padEnd(16)}`,
    `${Math.round(1e9 / nanos)}/s`.padStart(12),
  ];
  return [...columns, ...(heap === undefined ? [] : [`   heap ${heap} octets`])].join('');
}

/** How the programs of parts tell: for a person, and with `--json` a line of JSON each, which `readParts` reads. */
export function tellPart(part: Part): void {
  console.log(process.argv.includes('--json') ? JSON.stringify(part) : partLine(part));
}

export function readParts(text: string): Part[] {
  return text
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as Part);
}
