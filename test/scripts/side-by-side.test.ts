import test from 'ava';
import { sideBySide } from '../../scripts/side-by-side.js';
import { seededRandom } from '../../src/random.js';

interface Job {
  readonly name: string;
  readonly most: number;
}

/** Jobs that end when they are told to; who runs, and who has begun, in order. */
function jobs(list: readonly Job[]) {
  const ends = new Map<string, () => void>();
  const begun: string[] = [];
  const outcomes = sideBySide(
    list,
    ({ most }) => most,
    ({ name }) =>
      new Promise<string>((resolve) => {
        begun.push(name);
        ends.set(name, () => {
          ends.delete(name);
          resolve(`${name} is done`);
        });
      }),
  );
  const end = async (name: string) => {
    ends.get(name)!();
    await new Promise((resolve) => setImmediate(resolve));
  };
  return { begun, outcomes, end, running: () => [...ends.keys()] };
}

test('three at once while all bear it; who bears one other begins beside the last of them; who bears none is alone', async (t) => {
  const { outcomes, end, running } = jobs([
    { name: 'alone', most: 1 },
    { name: 'timed', most: 2 },
    ...['a', 'b', 'c', 'd'].map((name) => ({ name, most: 3 })),
  ]);
  t.deepEqual(running(), ['a', 'b', 'c']);
  await end('b');
  t.deepEqual(running(), ['a', 'c', 'd']);
  await end('a');
  t.deepEqual(running(), ['c', 'd'], 'the timed one would be the third');
  await end('d');
  t.deepEqual(running(), ['c', 'timed']);
  await end('c');
  t.deepEqual(running(), ['timed']);
  await end('timed');
  t.deepEqual(running(), ['alone']);
  await end('alone');
  t.deepEqual(
    await outcomes,
    ['alone', 'timed', 'a', 'b', 'c', 'd'].map((name) => `${name} is done`),
  );
});

test('of those that bear as much, the first comes first', async (t) => {
  const { begun, outcomes, end } = jobs(['z', 'a', 'm'].map((name) => ({ name, most: 1 })));
  for (const name of ['z', 'a', 'm']) await end(name);
  await outcomes;
  t.deepEqual(begun, ['z', 'a', 'm']);
});

test('whatever ends when, nobody has more company than it bears, and all are done', async (t) => {
  for (let seed = 1; seed <= 50; seed++) {
    const random = seededRandom(seed);
    const list = Array.from({ length: 12 }, (_, i) => ({ name: `${i}`, most: 1 + random.below(3) }));
    const { begun, outcomes, end, running } = jobs(list);
    while (running().length > 0) {
      const now = running();
      for (const name of now) t.true(now.length <= list[Number(name)]!.most, `seed ${seed}: ${now}`);
      await end(now[random.below(now.length)]!);
    }
    t.is(begun.length, list.length, `seed ${seed}`);
    t.is((await outcomes).length, list.length);
  }
});

test('a job that throws ends the whole', async (t) => {
  await t.throwsAsync(
    sideBySide(
      [1],
      () => 1,
      () => Promise.reject(new Error('on purpose')),
    ),
    { message: 'on purpose' },
  );
});

test('nothing to do is done at once', async (t) => {
  t.deepEqual(
    await sideBySide(
      [],
      () => 1,
      () => Promise.resolve(),
    ),
    [],
  );
});
