/** What came of some test files. */
export interface TestResult {
  readonly passed: number;
  readonly skipped: number;
  /** The tests that failed, "file › test"; or that the runner crashed. */
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

/**
 * What holds after the same files have run a second time: what fails again has failed, what passes now is unsteady, and
 * a runner that crashed stays failed.
 */
export function settled(first: TestResult, second: TestResult): TestResult {
  const stays = first.failures.filter((failure) => !failure.includes(' › '));
  const unsteady = first.failures.filter((failure) => !stays.includes(failure) && !second.failures.includes(failure));
  return {
    passed: first.passed + unsteady.length,
    skipped: first.skipped,
    failures: [...stays, ...second.failures],
    unsteady,
  };
}
