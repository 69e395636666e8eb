import test from 'ava';
import { givesWay, sourceOf } from '../../daemon/stream-share.js';

const of = (remoteAddress: string | undefined) => sourceOf({ remoteAddress });

test('a source is an IPv4 address, an IPv6 /64, or one machine on our link', (t) => {
  t.is(of('192.0.2.1'), '192.0.2.1');
  t.is(of('::ffff:192.0.2.1'), '192.0.2.1');
  t.not(of('192.0.2.2'), of('192.0.2.1'));
  t.is(of('2001:db8:0:1::1'), of('2001:db8:0:1:ffff::2'));
  t.not(of('2001:db8:0:2::1'), of('2001:db8:0:1::1'));
  t.is(of('fe80::1%eth0'), 'fe80::1');
  t.not(of('fe80::2%eth0'), of('fe80::1%eth0'));
  t.not(of('64:ff9b::192.0.2.2'), of('64:ff9b::192.0.2.1'), 'IPv4 behind a NAT64 is IPv4');
  t.is(of('64:ff9b:0:0:1::2'), of('64:ff9b:0:0:1::1'));
  t.is(of(undefined), undefined);
});

/** So many places of each, in this order. */
const held = (...places: readonly (readonly [source: string, places: number])[]) =>
  places.flatMap(([source, count]) => Array.from({ length: count }, (_, place) => ({ source, place })));

test('the ninth of a source takes the place of its first, whether others have any or not', (t) => {
  t.is(givesWay(held(['a', 7]), 'a', false), undefined);
  t.deepEqual(givesWay(held(['b', 1], ['a', 8]), 'a', false), { source: 'a', place: 0 });
  t.deepEqual(givesWay(held(['b', 8], ['a', 8]), 'a', true), { source: 'a', place: 0 });
});

test('where all places are taken the oldest of the source that holds most goes, and of several such the oldest of all', (t) => {
  t.deepEqual(givesWay(held(['b', 2], ['c', 3], ['d', 1]), 'a', true), { source: 'c', place: 0 });
  t.deepEqual(givesWay(held(['d', 1], ['c', 3], ['b', 3]), 'a', true), { source: 'c', place: 0 });
  t.deepEqual(givesWay(held(['b', 1], ['c', 1]), 'a', true), { source: 'b', place: 0 });
  t.deepEqual(givesWay(held(['b', 1], ['a', 3]), 'a', true), { source: 'a', place: 0 });
  t.is(givesWay([], 'a', true), undefined, 'those who were answered stay');
});
