import { type Millis, minute, type UnixSeconds } from '../time.js';

/** What was passed on for others in a month (UTC): the blob "relayed". */
export interface RelayedMonth {
  /** 12 × year + month, January is 0. */
  readonly month: number;
  readonly octets: number;
}

/** month u16, octets u64, big-endian, then both again, inverted, so that a torn or strange file shows. */
const length = 20;

export function encodeRelayedMonth({ month, octets }: RelayedMonth): Uint8Array {
  const bytes = new Uint8Array(length);
  const view = new DataView(bytes.buffer);
  view.setUint16(0, month);
  view.setBigUint64(2, BigInt(octets));
  for (let i = 0; i < length / 2; i++) bytes[length / 2 + i] = ~bytes[i]! & 0xff;
  return bytes;
}

/** Undefined when it is missing or unreadable: the month then begins anew. */
export function decodeRelayedMonth(bytes: Uint8Array | undefined): RelayedMonth | undefined {
  if (bytes?.length !== length) return undefined;
  for (let i = 0; i < length / 2; i++) if (bytes[length / 2 + i] !== (~bytes[i]! & 0xff)) return undefined;
  const view = new DataView(bytes.buffer, bytes.byteOffset, length);
  return { month: view.getUint16(0), octets: Number(view.getBigUint64(2)) };
}

/** A crash loses what was counted since the last write: so much time's, and no more. */
const persistEvery: Millis = minute;

/**
 * How much of this month's allowance for others is used. The plane counts from its start on; the disk remembers the rest of the
 * month. Used up, it stays so until the month is over.
 */
export class RelayQuota {
  readonly #allowed: number;
  #month: RelayedMonth | undefined;
  #counted = 0;
  #written: RelayedMonth | undefined;
  #writeAt: Millis = Number.NEGATIVE_INFINITY;

  /** `allowed`: octets a month; 0 is no limit, and nothing is counted. */
  constructor(allowed: number, stored: RelayedMonth | undefined) {
    this.#allowed = allowed;
    this.#month = this.#written = stored;
  }

  get isReached(): boolean {
    return this.#allowed > 0 && (this.#month?.octets ?? 0) >= this.#allowed;
  }

  get octets(): number {
    return this.#month?.octets ?? 0;
  }

  /** `relayed`: what the plane has counted since its start. Gives what is to be written now, if anything. */
  look(relayed: number, unixSeconds: UnixSeconds, now: Millis): RelayedMonth | undefined {
    if (this.#allowed === 0) return undefined;
    const wasReached = this.isReached;
    const more = relayed - this.#counted;
    this.#counted = relayed;
    const month = monthOf(unixSeconds);
    const before = this.#month?.month === month ? this.#month.octets : 0;
    this.#month = { month, octets: before + more };
    const isDue = now >= this.#writeAt || this.isReached !== wasReached;
    return isDue ? this.unwritten(now) : undefined;
  }

  /** What a write would keep that the disk does not have yet; also to be asked for before the daemon ends. */
  unwritten(now: Millis): RelayedMonth | undefined {
    const { month, octets } = this.#month ?? { month: 0, octets: 0 };
    if (octets === 0 || (this.#written?.month === month && this.#written.octets === octets)) return undefined;
    this.#writeAt = now + persistEvery;
    this.#written = this.#month;
    return this.#month;
  }
}

function monthOf(unixSeconds: UnixSeconds): number {
  const date = new Date(unixSeconds * 1000);
  const month = 12 * date.getUTCFullYear() + date.getUTCMonth();
  return Math.min(0xffff, Math.max(0, month));
}
