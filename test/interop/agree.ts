import { monotonicMicros } from '../../daemon/lan/sockets.js';
import type { Millis } from '../../src/time.js';
import { infiniteMetric, selectedWays, type TableRow } from './route.js';
import { Missing, until } from './until.js';
import type { Host } from './world.js';

/** A router whose own table can be read. */
export interface Readable {
  readonly host: Host;
  readonly log: readonly string[];
  table(): TableRow[] | Promise<TableRow[]>;
  /** All it knows, for the message of a failure. */
  evidence(): string | Promise<string>;
}

/**
 * Waits until the router's table has all these ways, such as "10.0.0.0/8 via 3", and none of those that begin so.
 * Returns when the reading that shows it began, on the machine's monotonic clock.
 */
export async function routerHas(
  router: Readable,
  deadlineMs: number,
  wanted: readonly string[],
  unwanted: readonly string[] = [],
): Promise<Millis> {
  return until(`the table of ${router.host.name}`, deadlineMs, async () => {
    const readAt = monotonicMicros() / 1000;
    const ways = selectedWays(await router.table());
    const missing = wanted.filter((way) => !ways.includes(way));
    const extra = ways.filter((way) => unwanted.some((start) => way.startsWith(start)));
    if (missing.length + extra.length === 0) return readAt;
    const log = `${router.log.slice(-8).join('\n')}\n${await router.evidence()}`;
    return new Missing(
      `missing: ${missing.slice(0, 8).join(', ')}\nunwanted: ${extra.slice(0, 8).join(', ')}\nhas: ${ways.slice(0, 20).join(', ')}\nlog: ${log}`,
    );
  });
}

/** Waits until the router uses a way to each prefix that costs at least so much; returns when that reading began. */
export async function routerHasMetric(
  router: Readable,
  deadlineMs: number,
  prefixes: readonly string[],
  atLeast: number,
): Promise<Millis> {
  return until(`${router.host.name} hears of the metric`, deadlineMs, async () => {
    const readAt = monotonicMicros() / 1000;
    const rows = await router.table();
    const isUsed = (row: TableRow) =>
      row.selected && row.feasible && row.metric >= atLeast && row.metric < infiniteMetric;
    const missing = prefixes.filter((prefix) => !rows.some((row) => row.prefix === prefix && isUsed(row)));
    return missing.length === 0 ? readAt : new Missing(`${missing.slice(0, 8)}\n${await router.evidence()}`);
  });
}
