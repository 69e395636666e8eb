/** Units of time. A machine receives `now`; it never reads a clock (STYLE 10). */

/** Milliseconds, of a duration or of a monotonic instant with an arbitrary origin. */
export type Millis = number;

/** Microseconds, likewise. */
export type Micros = number;

/** Seconds since 1970 by a wall clock. Only certificates and tokens depend on it (docs/protocol/addr.md, Time). */
export type UnixSeconds = number;

export const second: Millis = 1000;
export const minute: Millis = 60 * second;
export const hour: Millis = 60 * minute;
export const day: Millis = 24 * hour;

/** The deadline of a machine that waits for nothing. */
export const never: Millis = Number.POSITIVE_INFINITY;
