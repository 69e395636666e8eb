import test from 'ava';
import { Showing } from '../../src/tunnel/showing.js';

test('where we speak from now is told at once, then less and less often, and for 10 s at most', (t) => {
  const begun = 7000;
  const showing = new Showing(new Uint8Array(8), begun);
  const told: number[] = [];
  while (Number.isFinite(showing.deadline)) {
    t.false(showing.isDue(showing.deadline - 1));
    told.push(showing.deadline - begun);
    t.true(showing.isDue(showing.deadline));
  }
  t.deepEqual(told, [0, 50, 150, 350, ...Array.from({ length: 19 }, (_, i) => 750 + 500 * i)]);
  t.false(showing.isDue(begun + 60_000));
});
