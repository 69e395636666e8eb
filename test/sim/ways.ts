import type { RouteRow } from '../../src/routing/contract.js';
import { infinity } from './packet-view.js';

/** How many of the nodes are drawn, and how many ways of each: the best. */
const shownNodes = 8;
const shownWays = 12;

/** A way, and to which node it leads; undefined: to a link that is gone. */
export interface Way {
  readonly row: RouteRow;
  readonly to: number | undefined;
}

/**
 * What nodes know of a prefix, as a Mermaid flowchart: a way in use is a thick arrow, one that may be used a thin one, any
 * other a dotted one.
 */
export function drawWays(nodes: readonly number[], waysOf: (node: number) => readonly Way[]): string {
  const lines = nodes.slice(0, shownNodes).flatMap((node) => {
    const ways = waysOf(node).toSorted((a, b) => rank(a) - rank(b));
    const more = ways.length > shownWays ? [`  n${node} -.- more${node}["${ways.length - shownWays} more"]`] : [];
    return [...ways.slice(0, shownWays).map((way) => lineOf(node, way)), ...more];
  });
  if (nodes.length > shownNodes) lines.push(`  more["${nodes.length - shownNodes} more nodes"]`);
  return ['flowchart LR', ...lines].join('\n');
}

function rank({ row }: Way): number {
  return row.selected ? -1 : row.metric;
}

function lineOf(node: number, { row, to }: Way): string {
  const { selected, feasible, seqno, routerId, announced, cost, distance } = row;
  if (row.interface === undefined) return `  n${node}["n${node}: its own, seqno ${seqno} of ${routerId}"]`;
  const arrow = selected ? '==>' : feasible ? '-->' : '-.->';
  const said = announced === infinity ? 'retracted' : `${announced} + ${cost}`;
  const least = distance ? `, must beat seqno ${distance.seqno} metric ${distance.metric}` : '';
  return `  n${node} ${arrow}|"${said}, seqno ${seqno} of ${routerId}${least}"| ${to === undefined ? 'gone' : `n${to}`}`;
}
