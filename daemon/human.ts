/** Quantities as people read them; never parsed again. */

/** The two largest units that count: "3d 4h", "5m 20s", "0s". */
export function formatSeconds(seconds: number): string {
  let rest = Math.max(0, Math.floor(seconds));
  const parts: string[] = [];
  for (const [unit, size] of [
    ['d', 86400],
    ['h', 3600],
    ['m', 60],
    ['s', 1],
  ] as const) {
    const count = Math.floor(rest / size);
    rest -= count * size;
    if (count > 0) parts.push(`${count}${unit}`);
    else if (parts.length > 0) break;
    if (parts.length === 2) break;
  }
  return parts.join(' ') || '0s';
}

/** Three figures: "0.42 ms", "12.3 ms", "134 ms"; "-" for what is not known. */
export function formatMs(milliseconds: number | null): string {
  if (milliseconds === null) return '-';
  return `${threeFigures(milliseconds)} ms`;
}

const byteUnits = ['B', 'kB', 'MB', 'GB', 'TB', 'PB'];

/** In powers of 1000: "999 B", "123 MB". */
export function formatBytes(bytes: number): string {
  return scaled(bytes, 1000, byteUnits);
}

/** "640 kbit/s". */
export function formatRate(bitsPerSecond: number): string {
  return scaled(bitsPerSecond, 1000, ['bit/s', 'kbit/s', 'Mbit/s', 'Gbit/s', 'Tbit/s']);
}

function scaled(amount: number, step: number, units: readonly string[]): string {
  let value = amount;
  let unit = 0;
  // 999.5 would be shown as 1000.
  while (value >= step - 0.5 && unit < units.length - 1) {
    value /= step;
    unit++;
  }
  return `${unit === 0 ? Math.round(value) : threeFigures(value)} ${units[unit]}`;
}

function threeFigures(value: number): string {
  if (value >= 99.95) return value.toFixed(0);
  return value >= 9.995 ? value.toFixed(1) : value.toFixed(2);
}
