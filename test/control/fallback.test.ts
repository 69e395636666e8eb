import test from 'ava';
import { Fallback, isBridged } from '../../src/control/fallback.js';

const endpoints = [{ address: '192.0.2.1', port: 16696 }];
const bridged = { address: '127.0.0.1', port: 40_000 };
const trying = (...nodes: number[]) => nodes.map((node) => ({ node, endpoints }));

test('UDP alone is tried for a second', (t) => {
  const fallback = new Fallback();
  t.deepEqual(fallback.due(1000, [], trying(1)), []);
  t.is(fallback.deadline(), 2000);
  t.deepEqual(fallback.due(1999, [], trying(1)), []);
  t.deepEqual(fallback.due(2000, [], trying(1)), [{ node: 1, endpoints }]);
});

test('a tunnel over UDP ends it, and the wait begins anew', (t) => {
  const fallback = new Fallback();
  fallback.due(0, [], trying(1));
  t.deepEqual(fallback.due(5000, endpoints, trying(1)), []);
  t.is(fallback.deadline(), Number.POSITIVE_INFINITY);
  t.deepEqual(fallback.due(6000, [], trying(1)), []);
  t.is(fallback.deadline(), 7000);
});

test('at most three bridges, each node asked once until it is answered and then not at once', (t) => {
  const fallback = new Fallback();
  fallback.due(0, [], trying(1, 2, 3, 4));
  t.deepEqual(
    fallback.due(3000, [], trying(1, 2, 3, 4)).map(({ node }) => node),
    [1, 2, 3],
  );
  t.deepEqual(fallback.due(4000, [], trying(1, 2, 3, 4)), []);
  fallback.answered(1);
  t.deepEqual(
    fallback.due(5000, [], trying(1, 2, 3, 4)).map(({ node }) => node),
    [4],
  );
  fallback.answered(2);
  t.deepEqual(fallback.due(6000, [], trying(2)), []);
  t.deepEqual(
    fallback.due(13_000, [bridged], trying(2)).map(({ node }) => node),
    [],
  );
  fallback.answered(3);
  t.deepEqual(
    fallback.due(14_000, [bridged], trying(2)).map(({ node }) => node),
    [2],
  );
});

test('a bridge is known by its loopback end', (t) => {
  t.true(isBridged(bridged));
  t.false(isBridged(endpoints[0]!));
});
