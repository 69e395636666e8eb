import test from 'ava';
import { filesNamedBy, noTests, settled, type TestResult, together } from '../../scripts/test-result.js';

const flow = 'dist/test/lab/flow.test.js';
const wires = 'dist/test/lab/wires.test.js';
const failed = (...failures: string[]): TestResult => ({ ...noTests, passed: 5, failures });

test('files are found by the tests that failed in them', (t) => {
  t.deepEqual(filesNamedBy(['flow › a gap'], [flow, wires]), [flow]);
  t.deepEqual(filesNamedBy(['a gap'], [flow]), [flow], 'one file that runs alone is not named');
  t.deepEqual(filesNamedBy([], [flow]), []);
  t.deepEqual(filesNamedBy(['the test runner ended with 1'], [flow, wires]), []);
  t.deepEqual(filesNamedBy([`${wires} exited due to an error`], [flow, wires]), [wires]);
});

test('what passes the second time is unsteady and counts as passed; what fails again has failed', (t) => {
  const first = failed('flow › a gap', 'flow › a calm');
  t.deepEqual(settled(first, [flow], { ...noTests, passed: 1, failures: ['a calm'] }), {
    passed: 6,
    skipped: 0,
    failures: ['a calm'],
    unsteady: ['flow › a gap'],
  });
});

test('what did not run again stays failed', (t) => {
  const { failures, unsteady } = settled(failed('flow › a gap', 'the test runner ended with 1'), [flow], noTests);
  t.deepEqual(failures, ['the test runner ended with 1']);
  t.deepEqual(unsteady, ['flow › a gap']);
});

test('a runner that crashes the second time is a failure', (t) => {
  const second = failed('the test runner ended with null');
  t.deepEqual(settled(failed('flow › a gap'), [flow], second).failures, ['the test runner ended with null']);
});

test('results add up', (t) => {
  const one: TestResult = { passed: 1, skipped: 2, failures: ['a'], unsteady: ['b'] };
  t.deepEqual(together([one, one, noTests]), { passed: 2, skipped: 4, failures: ['a', 'a'], unsteady: ['b', 'b'] });
});
