import { parsePrefix } from '../../src/addr/prefix.js';

/** A row of a router's own Babel table, in the same words for babeld, BIRD and weft. */
export interface TableRow {
  /** Canonical text. */
  readonly prefix: string;
  /** Link-local address of the next hop; empty for what the router itself originates. */
  readonly via: string;
  readonly device: string;
  readonly metric: number;
  readonly selected: boolean;
  readonly feasible: boolean;
}

export const infiniteMetric = 0xffff;

/** One text for a prefix however the router prints it. */
export function canonicalPrefix(text: string): string {
  const bare = text === 'default' ? '::/0' : text;
  return parsePrefix(bare)?.toString() ?? text;
}

/** The selected, finite rows as "prefix via next hop", sorted: what a test compares. */
export function selectedWays(rows: readonly TableRow[]): string[] {
  return rows
    .filter((row) => row.selected && row.metric < infiniteMetric)
    .map((row) => (row.via === '' ? row.prefix : `${row.prefix} via ${row.via}`))
    .sort();
}
