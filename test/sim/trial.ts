import type { Scenario } from './scenario.js';
import { type Invariant, violationIn } from './violation.js';

/** What became of one scenario with one seed; `invariant`: the one that was broken, `text`: what was said of it. */
export interface Outcome {
  readonly scenario: string;
  readonly seed: number;
  readonly invariant?: Invariant;
  readonly text?: string;
}

/** Whole members take a while to load. */
async function scenariosFor(names: readonly string[]): Promise<readonly Scenario[]> {
  const { scenarios } = await import('./scenarios.js');
  if (names.every((name) => scenarios.some((one) => one.name === name))) return scenarios;
  const { controlScenarios, longControlScenarios } = await import('./control-scenarios.js');
  return [...scenarios, ...controlScenarios, ...longControlScenarios];
}

/**
 * node dist/test/sim/trial.js SEEDS SCENARIO…: each scenario with each of the seeds (1,2,3); prints an Outcome for each
 * as a line of JSON, up to the first broken invariant. Whatever else is thrown ends it as any crash does.
 */
async function main([seeds = '', ...names]: readonly string[]): Promise<void> {
  const scenarios = await scenariosFor(names);
  for (const name of names) {
    const scenario = scenarios.find((one) => one.name === name);
    if (!scenario) throw new Error(`no scenario is called ${name}`);
    for (const seed of seeds.split(',').map(Number)) {
      const broken = run(() => scenario.run(seed));
      const outcome: Outcome = { scenario: name, seed, ...broken };
      console.log(JSON.stringify(outcome));
      if (broken) return;
    }
  }
}

function run(action: () => void): { invariant: Invariant; text: string } | undefined {
  try {
    action();
    return undefined;
  } catch (error) {
    const violation = violationIn(error);
    if (!violation) throw error;
    return { invariant: violation.invariant, text: (error as Error).message.split('\n')[0]! };
  }
}

await main(process.argv.slice(2));
