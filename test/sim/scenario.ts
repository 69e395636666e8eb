import type { RestReport } from './rest.js';
import { type Invariant, Violation } from './violation.js';

/** A network's story that throws when it does not end as it must. The invariants watch all along. */
export interface Scenario {
  readonly name: string;
  readonly run: (seed: number) => void;
}

/** Throws what was expected, as a violation of the invariant it belongs to, with the detail. */
export function expect(invariant: Invariant, holds: boolean, what: string, detail: unknown = ''): void {
  if (!holds) throw new Violation(invariant, `${what} ${typeof detail === 'string' ? detail : JSON.stringify(detail)}`);
}

/** Throws when a scenario has not come to what it is about: no invariant is broken, but none was looked at either. */
export function premise(holds: boolean, what: string): void {
  if (!holds) throw new Error(what);
}

/** Everybody reaches everybody over links there are, and nobody believes in links there are not. */
export function expectWhole(report: RestReport, seed: number): void {
  expect('a', report.loops === 0, `seed ${seed}: loops at rest:`, report);
  expect('j', report.starved === 0, `seed ${seed}: routes are missing at rest:`, report);
  expect('i', report.ghosts === 0, `seed ${seed}: routes to nobody at rest:`, report);
}
