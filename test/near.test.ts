import test from 'ava';
import { meant, nearest } from '../src/near.js';

test('a word with a slip or two is taken for the nearest known one', (t) => {
  const known = ['status', 'peers', 'routes', 'attic', 'cellar'];
  t.is(nearest('stats', known), 'status');
  t.is(nearest('staust', known), 'status');
  t.is(nearest('PEERS', known), 'peers');
  t.is(nearest('celar', known), 'cellar');
  t.is(nearest('garden', known), undefined);
});

test('of words that are all slips nothing is guessed', (t) => {
  t.is(nearest('ab', ['xy', 'b'.repeat(3)]), undefined);
  t.is(nearest('n1', ['n2']), 'n2');
  t.is(nearest('', ['a', 'ab']), undefined);
});

test('what to do about an unknown word names the near one, and where all are', (t) => {
  t.is(meant('celar', ['cellar'], 'see weft peers'), 'did you mean "cellar"? see weft peers');
  t.is(meant('moon', ['cellar'], 'see weft peers'), 'see weft peers');
});
