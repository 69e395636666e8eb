import test from 'ava';
import { parsePrefix } from '../../src/addr/prefix.js';
import { Destination } from '../../src/routing/destination.js';
import { PendingRequests } from '../../src/routing/pending-requests.js';

const router = 3;

function destinationAt(seqno: number): Destination {
  const destination = new Destination(0, parsePrefix('fd00::/64')!, 0);
  return Object.assign(destination, { router, seqno });
}

test('any seqno at least as new as was asked for is an answer, round the ring too; an older one is none', (t) => {
  for (const [seqno, askers] of [
    [4, []],
    [5, [7]],
    [9, [7]],
    [0x8004, [7]],
    [0x8006, []],
  ] as const) {
    const pending = new PendingRequests(10);
    t.true(pending.note(0, router, 5, 7, 0, 63));
    t.deepEqual(pending.satisfied(destinationAt(seqno)), askers, `${seqno}`);
  }
});

test('requests of two routers for one prefix are two', (t) => {
  const pending = new PendingRequests(10);
  t.true(pending.note(0, router, 5, 7, 0));
  t.true(pending.note(0, router + 1, 5, 8, 0));
  t.deepEqual(pending.satisfied(destinationAt(5)), [7]);
  t.is(pending.size, 1);
});

test('a request is passed on once, whether or not one neighbour was asked for ourselves before', (t) => {
  const pending = new PendingRequests(10);
  t.true(pending.note(0, router, 5, 7, 0), 'asked of 7, whose way would be better');
  t.false(pending.note(0, router, 5, 7, 100), 'not again');
  t.true(pending.note(0, router, 5, 7, 200, 63), '7 itself needs it');
  pending.passedTo(0, router, 9);
  t.false(pending.note(0, router, 5, 8, 300, 63), 'another one, the same');
  t.true(pending.note(0, router, 6, 8, 400, 63), 'a newer one');
});

test('a newer request has its own hop count, not the larger one of an older', (t) => {
  const pending = new PendingRequests(10);
  pending.note(0, router, 5, 7, 0, 63);
  pending.note(0, router, 6, 8, 0, 20);
  t.is(pending.get(0, router)!.hops, 20);
  pending.note(0, router, 7, undefined, 0);
  t.is(pending.get(0, router)!.hops, 0, 'nobody asked us for this one');
});

test('what only a neighbour that is gone waited for is asked for no more', (t) => {
  const pending = new PendingRequests(10);
  pending.note(0, router, 5, 7, 0, 63);
  pending.note(0, router, 5, 8, 0, 63);
  pending.forgetColumn(7);
  t.is(pending.size, 1);
  pending.forgetColumn(8);
  t.is(pending.size, 0);
  pending.note(1, router, 5, undefined, 0);
  pending.forgetColumn(8);
  t.is(pending.size, 1, 'ours stays');
});

test('when who asked for the newest is gone, the others, and we, wait for what we asked', (t) => {
  const pending = new PendingRequests(10);
  pending.note(0, router, 5, 7, 0, 20);
  pending.note(0, router, 9, 8, 0, 63);
  pending.note(0, router, 9, 6, 0, 40);
  const entry = pending.get(0, router)!;
  pending.forgetColumn(8);
  t.deepEqual([entry.seqno, entry.hops], [9, 40]);
  pending.forgetColumn(6);
  t.deepEqual([entry.seqno, entry.hops], [5, 20]);
  pending.note(0, router, 6, undefined, 100);
  pending.note(0, router, 9, 8, 200, 63);
  pending.forgetColumn(8);
  t.deepEqual([entry.seqno, entry.hops], [6, 0], 'ours we ask for in our own name');
  t.deepEqual(pending.satisfied(destinationAt(6)), [7]);
});

test('who is satisfied waits no more, and who asked for a newer one does', (t) => {
  const pending = new PendingRequests(10);
  pending.note(0, router, 5, 7, 0, 20);
  pending.note(0, router, 6, undefined, 0);
  pending.note(0, router, 9, 8, 0, 63);
  t.deepEqual(pending.satisfied(destinationAt(5)), [7]);
  t.true(pending.get(0, router)!.own);
  t.deepEqual(pending.satisfied(destinationAt(6)), []);
  t.false(pending.get(0, router)!.own, 'we have what we need');
  t.deepEqual(pending.satisfied(destinationAt(9)), [8]);
  t.is(pending.size, 0);
});
