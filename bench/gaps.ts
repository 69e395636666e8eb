import { bareWire } from './bare-wire.js';
import type { Column } from './plot.js';
import { figures } from './round.js';

/**
 * What a run of everything should have of each contender and has not, or has of fewer rounds: "nebula: round trip, idle, 3
 * of 5". The wire has no daemons to weigh, and not everyone relays.
 */
export function gaps(columns: readonly Column[], relays: ReadonlySet<string>, rounds: number): string[] {
  return columns.flatMap(({ name, figures: own }) =>
    figures
      .filter(({ key }) => !key.startsWith('relay') || relays.has(name))
      .filter(({ key }) => name !== bareWire || !(key === 'cpu' || key.startsWith('memory')))
      .flatMap(({ key, title }) => {
        const had = own[key]?.rounds ?? 0;
        return had < rounds ? [`${name}: ${title}, ${had} of ${rounds}`] : [];
      }),
  );
}
