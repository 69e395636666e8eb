import test from 'ava';
import { readOrder } from '../../bench/arguments.js';

const read = (...words: string[]) => readOrder(words, ['weft', 'wireguard-go (Debian 13)'], ['tcp1', 'cpu'], 'results');

test('without words everything is meant, five rounds of two seconds', (t) => {
  const all = { rounds: 5, seconds: 2, names: undefined, figures: undefined, relays: true, out: 'results' };
  t.deepEqual(read(), all);
  t.deepEqual(read('--only', 'weft,wire', '--figures', 'cpu', '--no-relays', '--rounds', '7', '--out', 'here'), {
    ...{ rounds: 7, seconds: 2, names: ['weft', 'wire'], figures: new Set(['cpu']), relays: false, out: 'here' },
  });
  t.is(read('--help'), 'help');
});

for (const [words, wrong] of [
  [['--rounds', 'abc'], /^--rounds abc: a whole number/],
  [['--rounds', '0'], /^--rounds 0: a whole number/],
  [['--rounds', '1.5'], /^--rounds 1\.5: a whole number/],
  [['--rounds=-1'], /^--rounds -1: a whole number/],
  [['--seconds', 'x'], /^--seconds x: a whole number/],
  [['--only='], /^--only : no contender's name begins with ""/],
  [['--only', 'weft,nobody'], /begins with "nobody"/],
  [['--figures='], /^--figures : there is no figure ""/],
  [['--figures', 'tcp1,tcp9'], /there is no figure "tcp9"/],
  [['--what'], /--what/],
] as const) {
  test(`an order that cannot be meant is told in a line: ${words.join(' ')}`, (t) => {
    const order = read(...words);
    t.true(typeof order === 'object' && 'wrong' in order);
    const said = typeof order === 'object' && 'wrong' in order ? order.wrong : '';
    t.regex(said, wrong);
    t.notRegex(said, /\n/);
  });
}
