import { stemOf } from './test-parts.js';

/** What came of some test files. */
export interface TestResult {
  readonly passed: number;
  readonly skipped: number;
  /**
   * Names of the tests that failed: "file › test", or just "test" where only one file ran; also of a runner that
   * crashed.
   */
  readonly failures: readonly string[];
  /** Tests that failed and passed when run again. */
  readonly unsteady: readonly string[];
}

export const noTests: TestResult = { passed: 0, skipped: 0, failures: [], unsteady: [] };

export function together(results: readonly TestResult[]): TestResult {
  return {
    passed: results.reduce((sum, { passed }) => sum + passed, 0),
    skipped: results.reduce((sum, { skipped }) => sum + skipped, 0),
    failures: results.flatMap(({ failures }) => failures),
    unsteady: results.flatMap(({ unsteady }) => unsteady),
  };
}

/** Those of the files that ran that failures name; where only one ran, they name none. */
export function filesNamedBy(failures: readonly string[], ran: readonly string[]): string[] {
  if (failures.length === 0) return [];
  return ran.filter((file) => ran.length === 1 || failures.some((failure) => isNamedBy(failure, file)));
}

/**
 * What holds after `again`, which are files of `first`, have run a second time: what fails again has failed, what
 * passes now is unsteady, and what did not run again, such as a runner that crashed, stays failed.
 */
export function settled(first: TestResult, again: readonly string[], second: TestResult): TestResult {
  const stays = first.failures.filter((failure) => !again.some((file) => isNamedBy(failure, file)));
  const unsteady = first.failures.filter(
    (failure) => !stays.includes(failure) && !second.failures.some((other) => testOf(other) === testOf(failure)),
  );
  return {
    passed: first.passed + unsteady.length,
    skipped: first.skipped,
    failures: [...stays, ...second.failures],
    unsteady,
  };
}

function isNamedBy(failure: string, file: string): boolean {
  return failure.split(' › ').includes(stemOf(file)) || failure.includes(file);
}

function testOf(failure: string): string {
  return failure.split(' › ').at(-1) ?? failure;
}
