import test from 'ava';
import { parsePrefix } from '../../src/addr/prefix.js';
import type { RouteRow } from '../../src/routing/contract.js';
import { prefixText } from './babel-node.js';
import { Distances } from './distances.js';
import { Invariants } from './invariants.js';
import { none, own } from './next-hops.js';
import type { SeenSeqnoRequest, SeenUpdate } from './packet-view.js';
import { Promises } from './promises.js';
import { SeqnoRequests } from './requests.js';
import { Violation } from './violation.js';

/* Each invariant is fed what it must not let pass, so that none of them can be true by looking away. */

const prefix = parsePrefix('fd57:6566:7400:1::/64')!;
const text = prefixText(prefix);
const routerId = '0000010000000001';

const update = (metric: number, seqno = 5, id = routerId): SeenUpdate => ({
  kind: 'update',
  prefix: text,
  routerId: id,
  seqno,
  metric,
});
const retraction = update(0xffff);
const request = (hopCount: number, seqno = 6): SeenSeqnoRequest => ({
  kind: 'seqnoRequest',
  prefix: text,
  routerId,
  seqno,
  hopCount,
});

/** The violation's text; undefined when there was none. */
function violation(action: () => void): string | undefined {
  try {
    action();
  } catch (cause) {
    if (cause instanceof Violation) return cause.message;
    throw cause;
  }
  return undefined;
}

/** 1 and 2 have each been told of the prefix by the other and by 0, at 100 and 200. */
function two(shared: boolean): Invariants {
  const invariants = new Invariants({ shared: shared ? [text] : [] });
  invariants.chosen(0, text, own);
  for (const [from, to, metric] of [
    [0, 1, 100],
    [0, 2, 100],
    [1, 2, 200],
    [2, 1, 200],
  ] as const) {
    invariants.delivered(from, to, [update(metric)], 0);
  }
  invariants.chosen(1, text, 0);
  invariants.settled(1, 0);
  invariants.chosen(2, text, 0);
  invariants.settled(2, 0);
  return invariants;
}

test('a: a loop of selected next hops, and one that only spare next hops close', (t) => {
  const invariants = two(false);
  invariants.chosen(1, text, 2);
  invariants.settled(1, 0);
  invariants.chosen(2, text, 1);
  t.regex(violation(() => invariants.settled(2, 0)) ?? '', /^a: loop/);
  const spare = two(false);
  spare.chosen(1, text, 0, [2]);
  spare.settled(1, 0);
  spare.chosen(2, text, 0, [1]);
  t.regex(violation(() => spare.settled(2, 0)) ?? '', /^a: a loop by spare/);
});

test('a: a tunnel to what a node was before it died leads nowhere, until its new start speaks', (t) => {
  const invariants = two(false);
  invariants.chosen(1, text, 2);
  invariants.settled(1, 0);
  invariants.died(2);
  invariants.started(2);
  invariants.delivered(1, 2, [update(200)], 0);
  invariants.chosen(2, text, 1);
  t.is(
    violation(() => invariants.settled(2, 0)),
    undefined,
  );
  const late = () => {
    invariants.delivered(2, 1, [update(50)], 0, true);
    invariants.settled(1, 0);
  };
  t.is(violation(late), undefined, 'what it said before it died comes late');
  invariants.delivered(2, 1, [update(50)], 0);
  t.regex(violation(() => invariants.settled(1, 0)) ?? '', /^a: loop/);
});

test('b: a next hop that retracted, one that is not feasible, and a spare one that is not', (t) => {
  for (const [heard, spares] of [
    [retraction, []],
    [update(300), []],
  ] as const) {
    const invariants = two(false);
    invariants.sent(1, 3, [update(150)]);
    invariants.settled(1, 0);
    invariants.chosen(1, text, none);
    invariants.settled(1, 0);
    invariants.delivered(2, 1, [heard], 0);
    invariants.chosen(1, text, 2, spares);
    t.regex(violation(() => invariants.settled(1, 0)) ?? '', /^b: node 1 goes by node 2/);
  }
  const invariants = two(false);
  invariants.chosen(1, text, 0, [2]);
  invariants.settled(1, 0);
  invariants.sent(1, 3, [update(150)]);
  t.regex(
    violation(() => invariants.settled(1, 0)) ?? '',
    /^b: node 1 goes by node 2/,
    'what was sent made it unfeasible',
  );
});

test('b: a new epoch counts when its proof was heard, and not before', (t) => {
  const next = '0000010000000002';
  for (const [signed, isFault] of [
    [true, true],
    [false, false],
  ] as const) {
    const invariants = two(false);
    // A retraction, then the new epoch by another neighbour, then the old one again by this one.
    invariants.delivered(2, 1, [retraction], 0);
    invariants.delivered(3, 1, [{ ...update(100, 1, next), ...(signed ? { signed } : {}) }], 0);
    invariants.delivered(2, 1, [update(50, 6)], 0);
    invariants.chosen(1, text, 2);
    t.is(violation(() => invariants.settled(1, 0)) !== undefined, isFault, `signed: ${signed}`);
  }
});

test('c and d: a feasibility distance that gets worse, and one worse than what was sent', (t) => {
  let distance: RouteRow['distance'];
  const distances = new Distances(() => [{ interface: 1, routerId, ...(distance && { distance }) } as RouteRow]);
  const settle = (seqno: number, metric: number, now: number) => {
    distance = { seqno, metric };
    return violation(() => {
      distances.delivered(0, 1, [update(1)]);
      distances.settled(1, now);
    });
  };
  distances.chosen(1, prefix, none, undefined, 0);
  distances.sent(1, 2, [update(200)], 0);
  t.is(settle(5, 200, 0), undefined);
  t.is(settle(5, 190, 0), undefined, 'better is well');
  t.regex(settle(5, 195, 0) ?? '', /^c:/);
  t.is(settle(6, 500, 0), undefined, 'so is newer');
  t.regex(settle(5, 195, 0) ?? '', /^c:/);
  distances.sent(1, 2, [update(100, 6)], 1000);
  t.is(settle(6, 100, 1000), undefined);
  distances.sent(1, 2, [update(90, 6)], 1000);
  t.regex(settle(6, 100, 1000) ?? '', /^d:/);
  t.is(settle(6, 60_000, 200_000), undefined, 'it may have been forgotten by now');
  distances.sent(1, 2, [update(90, 6)], 200_000);
  distances.chosen(1, prefix, 0, routerId, 200_000);
  t.is(settle(6, 90, 200_000), undefined);
  t.regex(settle(6, 60_000, 500_000) ?? '', /^c:/, 'in use it may not, however long ago it was announced');
  t.is(settle(6, 90, 500_000), undefined);
  distances.chosen(1, prefix, 0, '0000010000000002', 500_000);
  t.regex(settle(6, 60_000, 674_000) ?? '', /^c:/, 'nor until three minutes after that');
  t.is(settle(6, 60_000, 676_000), undefined);
});

test('e: a metric no greater than the one that was given', (t) => {
  const invariants = two(false);
  invariants.sent(1, 2, [update(100)]);
  t.regex(violation(() => invariants.settled(1, 0)) ?? '', /^e:/);
});

test('f: a loop between two originators that outlives its updates', (t) => {
  const invariants = two(true);
  invariants.chosen(1, text, 2);
  invariants.settled(1, 0);
  invariants.chosen(2, text, 1);
  invariants.settled(2, 0);
  t.is(invariants.loopsSeen, 1);
  const exchange = () => {
    invariants.delivered(1, 2, [update(200)], 0);
    invariants.delivered(2, 1, [update(200)], 0);
  };
  t.is(violation(exchange) ?? violation(exchange), undefined);
  t.regex(violation(exchange) ?? '', /^f:/);
});

test('g: a lost prefix let go before the neighbour has heard the retraction', (t) => {
  const lose = (held: boolean) => {
    const promises = new Promises();
    promises.chosen(1, text, 0, false, routerId);
    promises.sent(1, 2, [update(100)]);
    promises.chosen(1, text, none, held, undefined);
    return { promises, settle: () => violation(() => promises.settled(1, 100)) };
  };
  t.regex(lose(false).settle() ?? '', /^g:/);
  const { promises, settle } = lose(true);
  t.is(settle(), undefined);
  promises.sent(1, 2, [retraction]);
  promises.chosen(1, text, none, false, undefined);
  t.regex(settle() ?? '', /^g:/, 'sent is not heard');
  promises.delivered(1, 2, [retraction]);
  t.is(settle(), undefined);
});

test('l: a retraction, and a new router-id, that do not leave within 0.2 s', (t) => {
  for (const id of [undefined, '0000020000000001']) {
    const promises = new Promises();
    promises.chosen(1, text, 0, false, routerId);
    promises.sent(1, 2, [update(100)]);
    promises.chosen(1, text, id ? 3 : none, true, id);
    promises.settled(1, 1000);
    t.is(
      violation(() => promises.settled(0, 1200)),
      undefined,
    );
    t.regex(violation(() => promises.settled(0, 1201)) ?? '', /^l:/);
    promises.sent(1, 2, [id ? update(100, 5, id) : retraction]);
    t.is(
      violation(() => promises.settled(0, 1300)),
      undefined,
    );
  }
});

test('l: what was due in the same moment and said the new already is not owed once more, but the old is no answer', (t) => {
  for (const id of [undefined, '0000020000000001']) {
    for (const said of [undefined, '0000020000000001', routerId]) {
      const promises = new Promises();
      promises.chosen(1, text, 0, false, routerId);
      for (const peer of [2, 4]) promises.sent(1, peer, [update(100)]);
      promises.settled(1, 900);
      // The packets of an event are seen before what the node has chosen in it.
      for (const peer of [2, 4]) promises.sent(1, peer, [said ? update(100, 5, said) : retraction]);
      if (said === undefined) promises.sent(1, 4, [update(100)]);
      promises.chosen(1, text, id ? 3 : none, true, id);
      promises.settled(1, 1000);
      const late = violation(() => promises.settled(0, 1201));
      const isOwed = said === undefined || said !== id;
      t.is(late !== undefined, isOwed, `${id} after ${said}: ${late}`);
    }
  }
});

test('k: a request passed on twice, to who asked, without losing a hop, or that nobody made', (t) => {
  const pass = (to: number[], hops = 63) => {
    const requests = new SeqnoRequests();
    requests.delivered(2, 1, [request(64)], 0);
    return violation(() => {
      for (const peer of to) requests.sent(1, peer, [request(hops)], 0);
      requests.settled(1);
    });
  };
  t.is(pass([3]), undefined);
  t.regex(pass([3, 4]) ?? '', /^k: .* the 2th time/);
  t.regex(pass([3, 3]) ?? '', /^k: .* the 2th time/);
  t.regex(pass([2]) ?? '', /^k: .* from there alone/);
  t.regex(pass([3], 65) ?? '', /^k: .* hop count/);
  t.regex(pass([3], 0) ?? '', /^k: .* hop count/);
  const requests = new SeqnoRequests();
  requests.sent(1, 3, [request(63)], 0);
  t.regex(violation(() => requests.settled(1)) ?? '', /^k: .* nobody asked/);
});

test('k: an own seqno that goes further than it was asked to', (t) => {
  const invariants = new Invariants();
  invariants.chosen(0, text, own);
  const say = (seqno: number) =>
    violation(() => {
      invariants.sent(0, 1, [update(0, seqno)]);
      invariants.settled(0, 0);
    });
  t.is(say(5), undefined);
  invariants.delivered(1, 0, [request(64, 6)], 0);
  invariants.delivered(1, 0, [request(64, 5)], 0);
  t.is(say(6), undefined);
  t.regex(say(7) ?? '', /^k: node 0 went/, 'the second asked for nothing newer');
});

test('k: a node that starts anew goes on from the seqno it stored ahead, and nobody else does', (t) => {
  const invariants = new Invariants();
  invariants.chosen(0, text, own);
  const say = (seqno: number) =>
    violation(() => {
      invariants.sent(0, 1, [update(0, seqno)]);
      invariants.settled(0, 0);
    });
  t.is(say(5), undefined);
  invariants.started(1);
  t.regex(say(21) ?? '', /^k: node 0 went/, 'another started');
  invariants.started(0);
  invariants.chosen(0, text, own);
  t.is(say(37), undefined);
});

test('k: requests are forgotten after a minute, and with the node that was asked', (t) => {
  const requests = new SeqnoRequests();
  for (let i = 0; i < 10_000; i++) requests.delivered(2, i % 7, [request(64, i)], 10 * i);
  t.true(requests.size <= 6001, `${requests.size}`);
  requests.delivered(2, 1, [request(64)], 100_000);
  requests.died(1);
  requests.sent(1, 3, [request(63)], 100_001);
  t.regex(violation(() => requests.settled(1)) ?? '', /^k: .* nobody asked/);
});
