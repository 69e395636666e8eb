import test from 'ava';
import { CheckBudgets } from '../src/check-budgets.js';
import { minute, second } from '../src/time.js';

/** How many are checked of so many tries at one moment, of which none or all are true. */
function checked(budgets: CheckBudgets<number>, member: number, tries: number, now: number, isTrue = false): number {
  const budget = budgets.of(member);
  let count = 0;
  for (let i = 0; i < tries; i++) {
    if (!budget.take(now)) continue;
    count++;
    if (isTrue) budget.wasTrue();
  }
  return count;
}

test('of what is false 400 are checked at once, then 20 a second, and the rest is counted', (t) => {
  const budgets = new CheckBudgets<number>();
  t.is(checked(budgets, 1, 1000, 0), 400);
  t.is(budgets.dropped, 600);
  t.is(checked(budgets, 1, 1000, second), 20);
  t.is(checked(budgets, 1, 1000, 2 * second), 20);
  t.is(checked(budgets, 1, 1000, minute), 400, 'full again after 20 s, and no fuller');
});

test('what is true costs a hundredth, what needed no check or is news nothing, and each member has its own', (t) => {
  const budgets = new CheckBudgets<number>();
  t.is(checked(budgets, 1, 100_000, 0, true), 400 * 100 - 99, 'the last one must be there as a whole');
  t.is(checked(budgets, 1, 100_000, 10 * second, true), 10 * 20 * 100);
  const budget = budgets.of(2);
  for (let i = 0; i < 100_000; i++) {
    t.true(budget.take(0));
    if (i % 2 === 0) budget.wasNeedless();
    else {
      budget.wasTrue();
      budget.wasNews();
    }
  }
  t.is(checked(budgets, 2, 1000, 0), 400);
});

test('who ran out is told of once a minute, and forgotten when that is over', (t) => {
  const budgets = new CheckBudgets<number>();
  const told = (now: number) => {
    checked(budgets, 1, 1000, now);
    checked(budgets, 2, 10, now);
    return [...budgets.takeSpent()];
  };
  t.deepEqual(told(0), [1]);
  t.deepEqual(told(minute - 1), []);
  t.deepEqual(told(minute), [1]);
  t.false(budgets.of(1).isFull(minute + 19 * second));
  t.true(budgets.of(1).isFull(minute + 20 * second));
});
