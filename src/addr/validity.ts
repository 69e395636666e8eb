import { MeshError } from '../errors.js';
import type { UnixSeconds } from '../time.js';

/**
 * The time rules (docs/protocol/addr.md, Time). There is no not-before, and expiry is only a warning for a year: a
 * clock in 1970 or an hour ahead locks nobody out. Only revocation ends membership at once.
 */
const year: UnixSeconds = 365 * 86_400;

/** How long a node certificate lasts. */
export const certificateLifetime: UnixSeconds = 2 * year;
/** How long an expired certificate still opens tunnels, with a health warning. */
export const expiredGrace: UnixSeconds = year;
/** No release of weft is older: a clock before this is wrong for certain. 2026-01-01. */
export const earliestPlausible: UnixSeconds = 1_767_225_600;
/**
 * An issuer whose clock is this far beyond all signed times does not sign: its signatures would age everybody's
 * certificates.
 */
const furthestAhead: UnixSeconds = 3 * year;

export interface Validity {
  readonly issued: UnixSeconds;
  readonly expires: UnixSeconds;
}

/** The time these checks use: the later of the system clock and the newest issuer-signed time seen. */
export function certificateNow(systemClock: UnixSeconds, newestSigned: UnixSeconds): UnixSeconds {
  return Math.max(systemClock, newestSigned);
}

/** valid: all is well. expired: still opens tunnels, status warns. void: opens nothing. */
export type Standing = 'valid' | 'expired' | 'void';

export function standing(validity: Validity, now: UnixSeconds): Standing {
  if (now < validity.expires) return 'valid';
  return now < validity.expires + expiredGrace ? 'expired' : 'void';
}

/** True from half of the lifetime on. */
export function isRenewalDue(validity: Validity, now: UnixSeconds): boolean {
  return now >= validity.issued + (validity.expires - validity.issued) / 2;
}

/**
 * The time an issuer writes into what it signs. Throws a MeshError when the clock is wrong beyond doubt: before weft
 * existed with no signed time to go by, or years ahead of all of them.
 */
export function signingTime(systemClock: UnixSeconds, newestSigned: UnixSeconds): UnixSeconds {
  const now = Math.floor(certificateNow(systemClock, newestSigned));
  const wrong = now < earliestPlausible || (newestSigned > 0 && systemClock > newestSigned + furthestAhead);
  if (!wrong) return now;
  const says = new Date(systemClock * 1000).toISOString().slice(0, 10);
  throw new MeshError(
    'clock',
    `the clock of this machine says ${says}`,
    'set it (timedatectl set-ntp true), then again',
  );
}
