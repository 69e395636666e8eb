import test from 'ava';
import { noTests, settled, type TestResult, together } from '../../scripts/test-result.js';

const crash = 'the test runner ended with 1';
const failed = (...failures: string[]): TestResult => ({ ...noTests, passed: 5, failures });

test('what passes the second time is unsteady and counts as passed; what fails again has failed', (t) => {
  const first = failed('flow › a gap', 'flow › a calm');
  t.deepEqual(settled(first, { ...noTests, passed: 1, failures: ['flow › a calm'] }), {
    passed: 6,
    skipped: 0,
    failures: ['flow › a calm'],
    unsteady: ['flow › a gap'],
  });
});

test('what fails the second time alone has failed too', (t) => {
  const { failures, unsteady } = settled(failed('flow › a gap'), failed('flow › a calm'));
  t.deepEqual(failures, ['flow › a calm']);
  t.deepEqual(unsteady, ['flow › a gap']);
});

test('a runner that crashes is a failure, the first time and the second', (t) => {
  t.deepEqual(settled(failed('flow › a gap', crash), noTests).failures, [crash]);
  t.deepEqual(settled(failed('flow › a gap'), failed(crash)).failures, [crash]);
});

test('results add up', (t) => {
  const one: TestResult = { passed: 1, skipped: 2, failures: ['a'], unsteady: ['b'] };
  t.deepEqual(together([one, one, noTests]), { passed: 2, skipped: 4, failures: ['a', 'a'], unsteady: ['b', 'b'] });
});
