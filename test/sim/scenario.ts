import type { RestReport, WrongPair } from './rest.js';
import { type Invariant, Violation } from './violation.js';

/** A network's story that throws when it does not end as it must. The invariants watch all along. */
export interface Scenario {
  readonly name: string;
  readonly run: (seed: number) => void;
}

/** A network that says of a violation with which seed it came to it, when, and after what. */
interface Explaining {
  explained<T>(action: () => T): T;
  /** As packet-view.ts writes it; undefined for what is no node. */
  textOf(target: number): string | undefined;
}

/**
 * Throws what was expected of a network, as a violation of the invariant it belongs to, with the detail; of one pair, where
 * one shows it.
 */
export function expect(
  world: Explaining,
  invariant: Invariant,
  holds: boolean,
  what: string,
  detail: unknown = '',
  pair?: WrongPair,
): void {
  if (holds) return;
  const prefix = pair && world.textOf(pair.target);
  const nodes = pair && prefix !== undefined ? [pair.node] : [];
  world.explained(() => {
    const text = `${what} ${typeof detail === 'string' ? detail : JSON.stringify(detail)}`;
    throw new Violation(invariant, text, prefix, ...nodes);
  });
}

/** Throws when a scenario has not come to what it is about: no invariant is broken, but none was looked at either. */
export function premise(holds: boolean, what: string): void {
  if (!holds) throw new Error(what);
}

/** Everybody reaches everybody over links there are, and nobody believes in links there are not. */
export function expectWhole(world: Explaining, report: RestReport): void {
  expect(world, 'a', report.loops === 0, 'loops at rest:', report, report.wrong);
  expect(world, 'j', report.starved === 0, 'routes are missing at rest:', report, report.wrong);
  expect(world, 'i', report.ghosts === 0, 'routes to nobody at rest:', report, report.wrong);
}

/** Nobody's way costs more than hysteresis may keep, nor other than it believes. */
export function expectShort(world: Explaining, report: RestReport): void {
  expect(world, 'h', report.beyond === 0, "ways longer than Dijkstra's:", report, report.wrong);
  expect(world, 'h', report.untrue === 0, 'metrics that are not so:', report, report.wrong);
}
