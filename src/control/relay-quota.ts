import { type Millis, minute, type UnixSeconds } from '../time.js';

/** What was passed on for others in a month (UTC). */
export interface RelayedMonth {
  /** 12 × year + month, January is 0. */
  readonly month: number;
  readonly octets: number;
}

/** One month: u16, octets u64, big-endian. */
const monthLength = 10;
/** That one and those before it: a clock that was wrong for a while comes back to what was counted. */
const mostMonths = 4;

/** The blob "relayed": months, the current one first, then all again, inverted, so that a torn or strange file shows. */
export function encodeRelayedMonths(months: readonly RelayedMonth[]): Uint8Array {
  const half = months.length * monthLength;
  const bytes = new Uint8Array(2 * half);
  const view = new DataView(bytes.buffer);
  for (const [i, { month, octets }] of months.entries()) {
    view.setUint16(i * monthLength, month);
    view.setBigUint64(i * monthLength + 2, BigInt(octets));
  }
  for (let i = 0; i < half; i++) bytes[half + i] = ~bytes[i]! & 0xff;
  return bytes;
}

/** None when it is missing or unreadable: the month then begins anew. */
export function decodeRelayedMonths(bytes: Uint8Array | undefined): RelayedMonth[] {
  const count = (bytes?.length ?? 0) / (2 * monthLength);
  if (!bytes || !Number.isInteger(count) || count > mostMonths) return [];
  const half = count * monthLength;
  for (let i = 0; i < half; i++) if (bytes[half + i] !== (~bytes[i]! & 0xff)) return [];
  const view = new DataView(bytes.buffer, bytes.byteOffset, half);
  return Array.from({ length: count }, (_, i) => ({
    month: view.getUint16(i * monthLength),
    octets: Number(view.getBigUint64(i * monthLength + 2)),
  }));
}

/** A crash loses what was counted since the last write: so much time's, and no more. */
const persistEvery: Millis = minute;

/**
 * How much of this month's allowance for others is used. The plane counts from its start on; the disk remembers the rest of the
 * month. Used up, it stays so until the month is over, also while the clock is wrong: where a machine starts in 1970, until the
 * time is heard, each start would give the whole allowance anew.
 */
export class RelayQuota {
  readonly #allowed: number;
  /** The current one first. */
  #months: readonly RelayedMonth[];
  #counted = 0;
  #written: RelayedMonth | undefined;
  #writeAt: Millis = Number.NEGATIVE_INFINITY;

  /** `allowed`: octets a month; 0 is no limit, and nothing is counted. */
  constructor(allowed: number, stored: readonly RelayedMonth[]) {
    this.#allowed = allowed;
    this.#months = stored;
    this.#written = stored[0];
  }

  get isReached(): boolean {
    return this.#allowed > 0 && this.octets >= this.#allowed;
  }

  get octets(): number {
    return this.#months[0]?.octets ?? 0;
  }

  /** `relayed`: what the plane has counted since its start. Gives what is to be written now, if anything. */
  look(relayed: number, unixSeconds: UnixSeconds, now: Millis): readonly RelayedMonth[] | undefined {
    if (this.#allowed === 0) return undefined;
    const wasReached = this.isReached;
    const more = relayed - this.#counted;
    this.#counted = relayed;
    const month = monthOf(unixSeconds);
    const others = this.#months.filter((other) => other.month !== month);
    this.#months = [{ month, octets: this.#countedIn(month) + more }, ...others].slice(0, mostMonths);
    const isDue = now >= this.#writeAt || this.isReached !== wasReached;
    return isDue ? this.unwritten(now) : undefined;
  }

  /** A month that is new to us begins with nothing; but time does not run backwards, and one before the current goes on from it. */
  #countedIn(month: number): number {
    const [current] = this.#months;
    const known = this.#months.find((other) => other.month === month);
    return known?.octets ?? (current && month < current.month ? current.octets : 0);
  }

  /** What a write would keep that the disk does not have yet; also to be asked for before the daemon ends. */
  unwritten(now: Millis): readonly RelayedMonth[] | undefined {
    const { month, octets } = this.#months[0] ?? { month: 0, octets: 0 };
    if (octets === 0 || (this.#written?.month === month && this.#written.octets === octets)) return undefined;
    this.#writeAt = now + persistEvery;
    this.#written = this.#months[0];
    return this.#months;
  }
}

function monthOf(unixSeconds: UnixSeconds): number {
  const date = new Date(unixSeconds * 1000);
  const month = 12 * date.getUTCFullYear() + date.getUTCMonth();
  return Math.min(0xffff, Math.max(0, month));
}
