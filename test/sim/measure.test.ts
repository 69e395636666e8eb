import test from 'ava';
import { Destination } from '../../src/routing/destination.js';
import { second } from '../../src/time.js';
import type { BabelNetwork } from './babel-network.js';
import { prefixOf, prefixText } from './babel-node.js';
import { measure } from './measure.js';
import { type Violation, violationIn } from './violation.js';

/* Where not every packet is remembered, what breaks is drawn all the same. One after the other: the product is broken here. */

const seed = 3;

function failure(meddle: (world: BabelNetwork) => void): { error: Error; violation: Violation } {
  try {
    measure({ nodes: 60, seed, own: 5, announcing: 60, watchOneIn: 10, progress: () => {}, meddle });
  } catch (error) {
    const violation = violationIn(error);
    if (error instanceof Error && violation) return { error, violation };
    throw error;
  }
  throw new Error('nothing failed');
}

/** The lines of one of the drawings. */
function drawing({ message }: Error, kind: 'flowchart LR' | 'sequenceDiagram'): string[] {
  const lines = message.split('\n');
  const from = lines.indexOf(kind) + 1;
  const length = lines.slice(from).findIndex((line) => !line.startsWith('  '));
  return from === 0 ? [] : lines.slice(from, length < 0 ? undefined : from + length);
}

/** The nodes that a line is about. */
function nodesIn(line: string): number[] {
  return [...line.replace(/".*"|:.*/, '').matchAll(/\bn(\d+)/g)].map(([, index]) => Number(index));
}

test.serial(
  'a feasibility condition that lets everything pass: the ways of the nodes concerned, and what led to them',
  (t) => {
    const { isFeasible } = Destination.prototype;
    t.teardown(() => {
      Destination.prototype.isFeasible = isFeasible;
    });
    let runs = 0;
    const { error, violation } = failure(({ network }) => {
      runs++;
      Destination.prototype.isFeasible = isFeasible;
      network.at(8 * second, () => {
        Destination.prototype.isFeasible = () => true;
      });
    });
    t.is(runs, 2, 'once more, to draw it');
    const { invariant, nodes } = violation;
    t.is(invariant, 'a');
    t.is(nodes.length, 2);
    t.regex(error.message, new RegExp(`^seed ${seed}, at \\d+\\.\\d{3} s: a: a loop by spare next hops, back from`));

    const ways = drawing(error, 'flowchart LR');
    for (const node of nodes) {
      const its = ways.filter((line) => line.startsWith(`  n${node} `));
      t.is(its.filter((line) => / ==>\|"\d+ \+ \d+, seqno \d+ of [0-9a-f]{16}.*"\| n\d+$/.test(line)).length, 1);
      t.true(its.length > 2 && its.length <= 13, `${its.length} ways`);
    }
    t.true(ways.every((line) => nodes.includes(nodesIn(line)[0]!)));

    const told = drawing(error, 'sequenceDiagram');
    t.true(told.length > 20 && told.length <= 60, `${told.length} lines`);
    t.true(told.every((line) => nodesIn(line).some((node) => nodes.includes(node))));
    t.true(
      told.some((line) => / {2}n\d+->>n\d+: \d+\.\d{3} s update seqno \d+ metric \d+ of [0-9a-f]{16}$/.test(line)),
    );
    t.regex(told.at(-1)!, / {2}Note over n\d+: \d+\.\d{3} s has lost the link to n30$/);
  },
);

test.serial('a prefix that nobody has a way to any more: who misses it, and how it was lost', (t) => {
  const lost = 12;
  const { error, violation } = failure(({ network }) =>
    network.at(8 * second, () => network.tell(lost, { kind: 'withdraw', prefix: prefixOf(lost) })),
  );
  t.is(violation.invariant, 'j');
  t.is(violation.prefix, prefixText(prefixOf(lost)), 'which is not one of those that are watched');
  t.regex(error.message, new RegExp(`^seed ${seed}, at 3\\d\\.\\d{3} s: j: routes are missing .*"starved":59,`));
  const [node] = violation.nodes;
  t.true(drawing(error, 'flowchart LR').every((line) => nodesIn(line)[0] === node));
  t.true(drawing(error, 'sequenceDiagram').some((line) => line.endsWith(' retraction') && nodesIn(line)[1] === node));
});
