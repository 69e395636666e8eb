import test from 'ava';
import type { Endpoint } from '../../src/addr/endpoint.js';
import type { TlsEndpoint } from '../../src/addr/tls-endpoint.js';
import {
  bridgeAddress,
  bridgeSources,
  type Candidate,
  Fallback,
  isBridged,
  isOurBridge,
} from '../../src/control/fallback.js';
import { type Millis, minute, second } from '../../src/time.js';

const endpoint: Endpoint = { address: '192.0.2.1', port: 16696 };
const secure: TlsEndpoint = { address: '192.0.2.1', port: 443, name: 'a.example.net' };
const bridged = { address: bridgeAddress('ours', 1), port: 40_000 };
const neighbour: Endpoint = { address: '192.168.1.7', port: 16696 };
const isOutside = ({ address }: Endpoint) => !address.startsWith('192.168.');
const trying = (...nodes: number[]): Candidate[] => nodes.map((node) => ({ node, endpoints: [endpoint], tls: [] }));
const tcp = (node: number) => ({ node, streams: [{ kind: 'tcp' as const, endpoint }] });
const tls = (node: number) => ({ node, streams: [{ kind: 'tls' as const, endpoint: secure }] });
/** Of nodes that others lead to. */
const hasRoute = () => true;
const both = (node: number): Candidate => ({ node, endpoints: [endpoint], tls: [secure] });

test('UDP alone is tried for a second', (t) => {
  const fallback = new Fallback(isOutside);
  t.deepEqual(fallback.due(1000, [], trying(1), hasRoute), []);
  t.is(fallback.deadline(), 2000);
  fallback.due(1500, [], trying(1), hasRoute);
  t.is(fallback.deadline(), 2000, 'however often it is looked at meanwhile');
  t.deepEqual(fallback.due(1999, [], trying(1), hasRoute), []);
  t.deepEqual(fallback.due(2000, [], trying(1), hasRoute), [tcp(1)]);
});

test('a tunnel over UDP ends it, and the wait begins anew', (t) => {
  const fallback = new Fallback(isOutside);
  fallback.due(0, [], trying(1), hasRoute);
  t.deepEqual(fallback.due(5000, [endpoint], trying(1), hasRoute), []);
  t.is(fallback.deadline(), Number.POSITIVE_INFINITY);
  t.deepEqual(fallback.due(6000, [], trying(1), hasRoute), []);
  t.is(fallback.deadline(), 7000);
});

test('at most three bridges, each node asked once until it is answered and then not at once', (t) => {
  const fallback = new Fallback(isOutside);
  const nodes = (now: number, standing: Endpoint[], candidates: Candidate[]) =>
    fallback.due(now, standing, candidates, hasRoute).map(({ node }) => node);
  fallback.due(0, [], trying(1, 2, 3, 4), hasRoute);
  t.deepEqual(nodes(3000, [], trying(1, 2, 3, 4)), [1, 2, 3]);
  t.deepEqual(nodes(4000, [], trying(1, 2, 3, 4)), []);
  fallback.answered(1);
  t.deepEqual(nodes(5000, [], trying(1, 2, 3, 4)), [4]);
  fallback.answered(2);
  t.deepEqual(nodes(6000, [], trying(2)), []);
  t.deepEqual(nodes(13_000, [bridged], trying(2)), []);
  fallback.answered(3);
  t.deepEqual(nodes(14_000, [bridged], trying(2)), [2]);
});

test('TLS follows plain TCP before that has ended, and their order changes with every try', (t) => {
  const fallback = new Fallback(isOutside);
  fallback.due(0, [], [both(1)], hasRoute);
  t.deepEqual(fallback.due(1000, [], [both(1)], hasRoute), [tcp(1)]);
  t.is(fallback.deadline(), 1700);
  t.deepEqual(fallback.due(1700, [], [both(1)], hasRoute), [tls(1)]);
  t.deepEqual(fallback.answered(1), []);
  t.deepEqual(fallback.due(2700, [], [both(1)], hasRoute), [], 'one of the two is still under way');
  t.deepEqual(fallback.answered(1), []);
  t.deepEqual(fallback.due(10_000, [], [both(1)], hasRoute), [], 'the pause after a try');
  t.deepEqual(fallback.due(11_000, [], [both(1)], hasRoute), [tls(1)]);
  t.deepEqual(fallback.due(11_700, [], [both(1)], hasRoute), [tcp(1)]);
});

test('both streams are dialled along when both stand', (t) => {
  const fallback = new Fallback(isOutside);
  fallback.due(0, [], [both(1)], hasRoute);
  fallback.due(1000, [], [both(1)], hasRoute);
  t.deepEqual(fallback.answered(1, bridged), [bridged]);
  fallback.due(1700, [], [both(1)], hasRoute);
  const other = { ...bridged, port: 40_001 };
  t.deepEqual(fallback.answered(1, other), [bridged, other]);
});

test('a node that is reached by then is not called over TLS too', (t) => {
  const fallback = new Fallback(isOutside);
  fallback.due(0, [], [both(1), both(2)], hasRoute);
  fallback.due(1000, [], [both(1), both(2)], hasRoute);
  fallback.answered(1, bridged);
  t.deepEqual(fallback.due(1700, [bridged], [both(2)], hasRoute), [tls(2)]);
  t.deepEqual(fallback.due(2700, [bridged], [both(2)], hasRoute), []);
});

test('a tunnel over UDP ends the turn of TLS', (t) => {
  const fallback = new Fallback(isOutside);
  fallback.due(0, [], [both(1)], hasRoute);
  fallback.due(1000, [], [both(1)], hasRoute);
  t.deepEqual(fallback.due(1700, [endpoint], [both(1)], hasRoute), []);
  t.deepEqual(fallback.due(1800, [], [], hasRoute), []);
  t.is(fallback.deadline(), Number.POSITIVE_INFINITY);
  fallback.answered(1);
  fallback.due(2000, [], [both(1)], hasRoute);
  t.deepEqual(fallback.due(3000, [], [both(1)], hasRoute), [tcp(1)], 'and all begins anew');
});

test('a node without any endpoint but that for TLS is called there, one without any not at all', (t) => {
  const fallback = new Fallback(isOutside);
  const candidates = [
    { node: 1, endpoints: [], tls: [secure] },
    { node: 2, endpoints: [], tls: [] },
  ];
  fallback.due(0, [], candidates, hasRoute);
  t.deepEqual(fallback.due(1000, [], candidates, hasRoute), [tls(1)]);
});

test('while all tunnels go over streams, their nodes are asked over UDP in turn', (t) => {
  const fallback = new Fallback(isOutside);
  const standing = [2, 1].map((node) => ({ node, endpoint: bridged }));
  t.deepEqual(fallback.udpDue(0, standing), []);
  t.is(fallback.deadline(), 5000);
  t.deepEqual(fallback.udpDue(5000, standing), [1]);
  t.deepEqual(fallback.udpDue(24_000, standing), []);
  t.deepEqual(fallback.udpDue(25_000, standing), [2]);
  t.deepEqual(fallback.udpDue(45_000, standing), [1]);
  t.deepEqual(fallback.udpDue(90_000, [...standing, { node: 3, endpoint }]), [1, 2], 'UDP works');
  t.deepEqual(fallback.udpDue(90_000, []), []);
  t.is(fallback.deadline(), Number.POSITIVE_INFINITY);
});

test('once UDP works, those whose streams we opened are asked over it at once, and those opened to us are not', (t) => {
  const fallback = new Fallback(isOutside);
  const theirs = { address: bridgeAddress('theirs', 1), port: 40_000 };
  const streams = [1, 2].map((node) => ({ node, endpoint: bridged }));
  const standing = [...streams, { node: 3, endpoint: theirs }];
  const overUdp = { node: 4, endpoint };
  t.deepEqual(fallback.udpDue(0, standing), []);
  t.false(fallback.isLeaving(1), 'UDP was not seen to work');
  t.deepEqual(fallback.udpDue(500, [...standing, overUdp]), [1, 2]);
  t.deepEqual(
    [1, 2, 3].map((node) => fallback.isLeaving(node)),
    [true, true, false],
  );
  const another = { node: 5, endpoint: bridged };
  t.deepEqual(fallback.udpDue(600, [...standing, another, overUdp]), [5]);
  t.is(fallback.deadline(), 20_600);
  t.deepEqual(fallback.udpDue(700, standing), [], 'nothing works over UDP: they are asked in turn again');
  t.false(fallback.isLeaving(1));
  t.deepEqual(fallback.udpDue(800, [...standing, overUdp]), [1, 2], 'and all of them when it works again');
});

test('those that stay on a stream of ours although UDP works are asked again in turn, each after the last has ended', (t) => {
  const fallback = new Fallback(isOutside);
  const standing = [...[1, 2].map((node) => ({ node, endpoint: bridged })), { node: 3, endpoint }];
  t.deepEqual(fallback.udpDue(0, standing), [1, 2]);
  t.deepEqual(fallback.udpDue(19_999, standing), []);
  t.deepEqual(fallback.udpDue(20_000, standing), [1]);
  t.deepEqual(fallback.udpDue(40_000, standing), [2]);
  t.deepEqual(fallback.udpDue(41_000, standing.slice(0, 2)), [], 'UDP works no more');
  t.is(fallback.deadline(), 60_000);
});

test('where UDP works, who is not reached in ten seconds by any way is called over TCP, and ever more rarely', (t) => {
  const fallback = new Fallback(isOutside);
  const called: [number, number][] = [];
  for (let now = 0; now < 1_500_000; now += 1000) {
    for (const { node } of fallback.due(now, [endpoint], trying(1, 2), (node) => node === 2)) {
      called.push([now, node]);
      fallback.answered(node);
    }
  }
  const seconds = [10, 20, 40, 80, 160, 320, 640, 1240];
  t.deepEqual(
    called,
    seconds.map((at) => [at * 1000, 1]),
  );
});

/** Calls of node 1 over TCP from `start` on, a second apart at least, each in vain; UDP works to others. */
function callsOf(fallback: Fallback, start: Millis, end: Millis, each: (now: Millis) => void = () => {}): Millis[] {
  const calls: Millis[] = [];
  for (let now = start; now < end; now += second) {
    each(now);
    for (const { node } of fallback.due(now, [endpoint], trying(1), () => false)) {
      calls.push(now);
      fallback.answered(node);
    }
  }
  return calls;
}

test('a node that was reached meanwhile is called as if it were new when it is cut off again', (t) => {
  const fallback = new Fallback(isOutside);
  t.is(callsOf(fallback, 0, 25 * minute).length, 8);
  const back = 26 * minute;
  fallback.due(back, [endpoint, bridged], [], hasRoute);
  t.deepEqual(
    callsOf(fallback, back + minute, back + 2 * minute),
    [10, 20, 40].map((at) => back + minute + at * second),
  );
});

/** Calls of node 1 in this time, each answered; `leads`: whether a route leads to it then. */
function callsWhile(end: Millis, leads: (now: Millis, lastCall: Millis) => boolean): Millis[] {
  const fallback = new Fallback(isOutside);
  const calls: Millis[] = [];
  for (let now = 0; now < end; now += second) {
    const hasRoute = leads(now, calls.at(-1) ?? Number.NEGATIVE_INFINITY);
    for (const { node } of fallback.due(now, [endpoint], hasRoute ? [] : trying(1), () => hasRoute)) {
      calls.push(now);
      fallback.answered(node, bridged);
    }
  }
  return calls;
}

test('streams that live for seconds are called ever more rarely, one that stood for a minute is called again soon', (t) => {
  const living = (lifetime: Millis) => callsWhile(30 * minute, (now, called) => now - called <= lifetime);
  t.deepEqual(
    living(5 * second).map((at) => at / second),
    [10, 20, 40, 80, 160, 320, 640, 1240],
  );
  const pauses = living(2 * minute).map((at, i, all) => at - (all[i - 1] ?? 0));
  t.deepEqual([...new Set(pauses.slice(1))], [2 * minute + 11 * second]);
});

test('a node whose route comes and goes is called over TCP in a moment without one', (t) => {
  const calls = callsWhile(30 * second, (now) => now % (6 * second) >= 3 * second);
  t.deepEqual(calls, [12 * second, 24 * second]);
});

test('news of a node has it called at once, and then once in half a minute', (t) => {
  const fallback = new Fallback(isOutside);
  fallback.heardNews(1, 0);
  t.is(callsOf(fallback, 0, 25 * minute).length, 8);
  fallback.heardNews(1, 25 * minute);
  t.deepEqual(callsOf(fallback, 25 * minute, 27 * minute), [25 * minute]);
  const flooded = callsOf(fallback, 30 * minute, 40 * minute, (now) => fallback.heardNews(1, now));
  t.deepEqual(
    flooded,
    Array.from({ length: 20 }, (_, i) => 30 * minute + i * 30 * second),
  );
  t.deepEqual(callsOf(fallback, 40 * minute, 45 * minute), [40 * minute], 'and less often again');
});

test('a neighbour on the LAN does not end it: who is outside is called over TCP, at its endpoints outside', (t) => {
  const fallback = new Fallback(isOutside);
  const candidates = [
    { node: 1, endpoints: [neighbour, endpoint], tls: [] },
    { node: 2, endpoints: [neighbour], tls: [{ ...neighbour, name: undefined }] },
  ];
  fallback.due(0, [neighbour], candidates, hasRoute);
  t.deepEqual(fallback.due(1000, [neighbour], candidates, hasRoute), [tcp(1)], 'inside, where UDP works, nobody is');
  const standing = [
    { node: 3, endpoint: neighbour },
    { node: 1, endpoint: bridged },
  ];
  t.deepEqual(fallback.udpDue(1000, standing), []);
  t.deepEqual(fallback.udpDue(6000, standing), [1], 'the one over TCP is asked over UDP');
  t.deepEqual(fallback.udpDue(26_000, standing), [1], 'and it alone');
  t.false(fallback.worksOverUdp([neighbour, bridged]));
  t.true(fallback.worksOverUdp([neighbour, endpoint]));
});

test('tunnels on the LAN take no place of the three', (t) => {
  const fallback = new Fallback(isOutside);
  const standing = [neighbour, neighbour, neighbour, bridged];
  fallback.due(0, standing, trying(1, 2, 3), hasRoute);
  t.deepEqual(
    fallback.due(1000, standing, trying(1, 2, 3), hasRoute).map(({ node }) => node),
    [1, 2],
  );
});

test('streams opened to us take no place of the three: who has callers over TCP still opens its own', (t) => {
  const fallback = new Fallback(isOutside);
  const callers = [1, 2, 3].map((source) => ({ address: bridgeAddress('theirs', source), port: 40_000 }));
  const nodes = (now: number, standing: Endpoint[]) =>
    fallback.due(now, standing, trying(1, 2, 3, 4), hasRoute).map(({ node }) => node);
  nodes(0, callers);
  t.deepEqual(nodes(1000, [...callers, bridged]), [1, 2]);
});

test('a network all of private addresses is called over TCP while nothing stands, and no more when one tunnel does', (t) => {
  const fallback = new Fallback(isOutside);
  const candidates = [{ node: 1, endpoints: [neighbour], tls: [] }];
  fallback.due(0, [], candidates, hasRoute);
  t.deepEqual(fallback.due(1000, [], candidates, hasRoute), [
    { node: 1, streams: [{ kind: 'tcp', endpoint: neighbour }] },
  ]);
  fallback.answered(1);
  t.deepEqual(fallback.due(20_000, [neighbour], candidates, hasRoute), []);
  t.is(fallback.deadline(), Number.POSITIVE_INFINITY);
});

test('a bridge is known by its loopback end, and by which who opened it', (t) => {
  const last = bridgeSources - 1;
  const ours = [bridgeAddress('ours', 0), bridgeAddress('ours', last)];
  const theirs = [bridgeAddress('theirs', 0), bridgeAddress('theirs', last)];
  const others = ['127.0.0.1', '127.63.255.255', '127.192.0.0', '12.64.0.1', '192.0.2.1', '::1'];
  t.deepEqual([ours, theirs].flat(), ['127.128.0.0', '127.191.255.255', '127.64.0.0', '127.127.255.255']);
  for (const address of ours) t.true(isBridged({ address, port: 1 }) && isOurBridge({ address, port: 1 }), address);
  for (const address of theirs) t.true(isBridged({ address, port: 1 }) && !isOurBridge({ address, port: 1 }), address);
  for (const address of others) t.false(isBridged({ address, port: 1 }) || isOurBridge({ address, port: 1 }), address);
});

test('a node that was not tried for ten minutes is a new one', (t) => {
  const fallback = new Fallback(isOutside);
  fallback.due(0, [], [both(1)], hasRoute);
  t.deepEqual(fallback.due(1000, [], [both(1)], hasRoute), [tcp(1)]);
  fallback.due(1700, [], [both(1)], hasRoute);
  fallback.answered(1);
  fallback.answered(1);
  fallback.due(620_000, [], [], hasRoute);
  fallback.due(620_001, [], [both(1)], hasRoute);
  t.deepEqual(fallback.due(621_001, [], [both(1)], hasRoute), [tcp(1)], 'else it were the turn of TLS');
});
