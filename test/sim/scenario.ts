import type { RestReport } from './rest.js';

/** A network's story that throws when it does not end as it must. The invariants watch all along. */
export interface Scenario {
  readonly name: string;
  readonly run: (seed: number) => void;
}

/** Throws what was expected, with the detail. */
export function expect(holds: boolean, what: string, detail: unknown = ''): void {
  if (!holds) throw new Error(`${what} ${typeof detail === 'string' ? detail : JSON.stringify(detail)}`);
}

/** Everybody reaches everybody over links there are, and nobody believes in links there are not. */
export function expectWhole(report: RestReport, seed: number): void {
  const whole = report.starved + report.ghosts + report.loops === 0;
  expect(whole, `seed ${seed}: not all routes are right at rest:`, report);
}
