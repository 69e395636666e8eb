import test from 'ava';
import { measureCut, measureDelays, measureHops, re6stnetHops } from './link-figures.js';

// The full figures are made by `npm run sim -- topology`; these are the same ones, small.

for (const nodes of [100, 400]) {
  test(`${nodes} nodes: average hops at most 1.1 of a random graph’s`, (t) => {
    const { hops, meanDegree, largestDegree } = measureHops(nodes, 1, 240);
    t.log(`${hops.toFixed(3)} hops, mean degree ${meanDegree.toFixed(2)}`);
    t.true(hops <= 1.1 * re6stnetHops.get(nodes)!, `${hops}`);
    t.true(meanDegree < 21 && largestDegree <= 30, `${meanDegree}, ${largestDegree}`);
  });
}

test('half of the nodes dead: hardly any survivor is cut off, for no node has few tunnels', (t) => {
  const { cutOff, degrees } = measureCut(400, 1, 240, 4000);
  t.log(`${cutOff.toExponential(2)}, least degree ${degrees[0]}`);
  t.true(cutOff <= 2e-5, `${cutOff}`);
  t.true(degrees[0]! >= 13, `${degrees[0]}`);
});

test('ways get short: all pairs in minutes, pairs with traffic at once', (t) => {
  const { weft, re6stnet } = measureDelays({ nodes: 300, seed: 1, flows: 75, at: [600], rounds: 2 });
  const [row] = weft;
  t.log(`all pairs ${row!.allPairsRatio.toFixed(3)}, with traffic ${row!.withTrafficRatio.toFixed(3)}`);
  t.true(row!.allPairsRatio <= 1.4, `${row!.allPairsRatio}`);
  t.true(row!.withTrafficRatio <= 1.05, `${row!.withTrafficRatio}`);
  t.true(row!.allPairs < re6stnet.at(-1)!.allPairs);
});
