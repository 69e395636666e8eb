/** One thing weft does, alone on one core. */
export interface Part {
  /** Where a floor asks for it. */
  readonly key?: 'lookup' | 'handshake';
  readonly what: string;
  readonly nanos: number;
  /** Octets the heap grew by, each time. */
  readonly heap?: number;
}

/** For a person. */
export function partLine({ what, nanos, heap }: Part): string {
  const time = nanos < 10_000 ? `${nanos.toFixed(0)} ns` : `${(nanos / 1000).toFixed(1)} µs`;
  const columns = [what.padEnd(58), time.padStart(10), `${Math.round(1e9 / nanos)}/s`.padStart(12)];
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
