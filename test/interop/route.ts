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

/**
 * The selected, finite rows, sorted: what a test compares. A next hop is written as the number of its host, whichever of
 * its addresses (fe80::number, 10.77.lan.number) the router shows.
 */
export function selectedWays(rows: readonly TableRow[]): string[] {
  return rows
    .filter((row) => row.selected && row.metric < infiniteMetric)
    .map((row) => (row.via === '' ? row.prefix : `${row.prefix} via ${hostNumber(row.via)}`))
    .sort();
}

function hostNumber(via: string): string {
  const match = /^fe80::([0-9a-f]+)$/.exec(via);
  return match ? String(Number.parseInt(match[1]!, 16)) : via.replace(/^10\.77\.\d+\./, '');
}
