import type { RestReport } from './rest.js';
import { type Invariant, Violation } from './violation.js';

/** A network's story that throws when it does not end as it must. The invariants watch all along. */
export interface Scenario {
  readonly name: string;
  readonly run: (seed: number) => void;
}

/** A network that says of a violation with which seed it came to it, when, and after what. */
interface Explaining {
  explained<T>(action: () => T): T;
}

/** Throws what was expected of a network, as a violation of the invariant it belongs to, with the detail. */
export function expect(
  world: Explaining,
  invariant: Invariant,
  holds: boolean,
  what: string,
  detail: unknown = '',
): void {
  if (holds) return;
  world.explained(() => {
    throw new Violation(invariant, `${what} ${typeof detail === 'string' ? detail : JSON.stringify(detail)}`);
  });
}

/** Throws when a scenario has not come to what it is about: no invariant is broken, but none was looked at either. */
export function premise(holds: boolean, what: string): void {
  if (!holds) throw new Error(what);
}

/** Everybody reaches everybody over links there are, and nobody believes in links there are not. */
export function expectWhole(world: Explaining, report: RestReport): void {
  expect(world, 'a', report.loops === 0, 'loops at rest:', report);
  expect(world, 'j', report.starved === 0, 'routes are missing at rest:', report);
  expect(world, 'i', report.ghosts === 0, 'routes to nobody at rest:', report);
}
