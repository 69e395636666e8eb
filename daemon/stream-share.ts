import type { Socket } from 'node:net';
import { formatIp, parseIp, sourceOctets } from '../src/addr/ip.js';

/** What strangers hold at once of one source: members behind one address come in by turns, since a place is theirs for a moment. */
const sharePerSource = 8;

/** Who holds a place that strangers share. */
export interface Holder {
  /** As `sourceOf` says. */
  readonly source: string;
}

/** Where a connection comes from, as one text for all addresses of a sender; undefined when the connection is gone already. */
export function sourceOf({ remoteAddress }: Pick<Socket, 'remoteAddress'>): string | undefined {
  const bytes = parseIp(remoteAddress?.replace(/%.*/, '') ?? '');
  return bytes && formatIp(bytes.map((octet, i) => (i < sourceOctets(bytes) ? octet : 0)));
}

/**
 * Who makes room for one more of this source: of those that hold as many as one source may, their own oldest; where all places
 * are taken, the oldest of the source that holds most, so that one stranger keeps nobody out. Undefined: there is room, or
 * nobody to go. `holders`: the oldest first.
 */
export function givesWay<One extends Holder>(
  holders: readonly One[],
  source: string,
  allAreTaken: boolean,
): One | undefined {
  const held = new Map<string, number>();
  for (const holder of holders) held.set(holder.source, (held.get(holder.source) ?? 0) + 1);
  if ((held.get(source) ?? 0) >= sharePerSource) return holders.find((holder) => holder.source === source);
  if (!allAreTaken) return undefined;
  const most = Math.max(...held.values());
  return holders.find((holder) => held.get(holder.source) === most);
}
