import test from 'ava';
import { second } from '../../src/time.js';
import { BabelNetwork } from './babel-network.js';
import { prefixOf, prefixText } from './babel-node.js';
import { ControlNetwork } from './control-network.js';
import { expect } from './scenario.js';
import { ring } from './topology.js';
import { violationIn } from './violation.js';

/* A failure must be one that can be looked into: with which seed, when, and what the nodes had said to each other. */

const seed = 7;

function failure(action: () => void): Error {
  try {
    action();
  } catch (error) {
    if (error instanceof Error) return error;
    throw error;
  }
  throw new Error('nothing failed');
}

/** The lines of the drawing that are messages, each in the form it must have. */
function messages({ message }: Error): string[] {
  const [, drawing = ''] = message.split('\nsequenceDiagram\n');
  return drawing.split('\n').filter((line) => / {2}n\d+->>n\d+: \d+\.\d{3} s \w/.test(line));
}

test('what a scenario expects and does not find: seed, time and the latest messages, of speakers and of members', (t) => {
  const speakers = new BabelNetwork({ seed, nodes: 3, edges: ring(3) });
  speakers.runTo(5 * second);
  const members = new ControlNetwork({ seed, nodes: 3 });
  members.runTo(members.now + 3 * second);
  for (const [world, now] of [
    [speakers, speakers.network.now],
    [members, members.now],
  ] as const) {
    expect(world, 'j', true, 'all is well');
    const error = failure(() => expect(world, 'j', false, 'a way is missing:', { from: 1 }));
    t.is(violationIn(error)?.invariant, 'j');
    const [first] = error.message.split('\n');
    t.is(first, `seed ${seed}, at ${(now / 1000).toFixed(3)} s: j: a way is missing: {"from":1}`);
    t.true(
      messages(error).some((line) => / update seqno \d+ metric \d+ of [0-9a-f]{16} for 2:[0-9a-f]+\/64$/.test(line)),
    );
  }
});

test('an invariant that breaks under way: seed, time and the messages of its prefix', (t) => {
  const world = new BabelNetwork({ seed, nodes: 3, edges: ring(3) });
  world.runTo(5 * second);
  const text = prefixText(prefixOf(0));
  world.network.at(6 * second, () => {
    world.invariants.chosen(1, text, 2);
    world.invariants.chosen(2, text, 1);
    world.invariants.settled(2, world.network.now);
  });
  const error = failure(() => world.runTo(10 * second));
  t.is(violationIn(error)?.invariant, 'a');
  t.regex(error.message, new RegExp(`^seed ${seed}, at 6\\.000 s: a: loop `));
  const drawn = messages(error);
  t.true(drawn.length > 0);
  t.true(
    drawn.every((line) => !line.includes(' for ')),
    'of one prefix, which need not be said',
  );
});

test('where nothing is recorded there is the seed, and no drawing', (t) => {
  const world = new BabelNetwork({ seed, nodes: 3, edges: ring(3), recorded: false });
  world.runTo(5 * second);
  const { message } = failure(() => expect(world, 'j', false, 'a way is missing'));
  t.is(message.trim(), `seed ${seed}, at 5.000 s: j: a way is missing`);
});
