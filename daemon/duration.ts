import { day, hour, type Millis, minute, second } from '../src/time.js';

const units: Readonly<Record<string, Millis>> = { ms: 1, s: second, m: minute, h: hour, d: day, w: 7 * day };

/** "250ms", "20s", "5m", "24h", "2d", "1w", "1h30m" in milliseconds; undefined when malformed. */
export function parseDuration(text: string): Millis | undefined {
  if (!/^(\d+(\.\d+)?(ms|[smhdw]))+$/.test(text)) return undefined;
  let total = 0;
  for (const [, number, unit] of text.matchAll(/(\d+(?:\.\d+)?)(ms|[smhdw])/g)) total += Number(number) * units[unit!]!;
  return Number.isSafeInteger(Math.round(total)) ? Math.round(total) : undefined;
}
