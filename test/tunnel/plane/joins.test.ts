import test from 'ava';
import { FrameFlag, FrameType } from '../../../src/tunnel/frame.js';
import { NodeAead } from '../../../src/tunnel/plane/aead.js';
import { Arena } from '../../../src/tunnel/plane/arena.js';
import { Joins } from '../../../src/tunnel/plane/joins.js';
import { Moment } from '../../../src/tunnel/plane/moment.js';
import { type Flight, World } from './world.js';

function halves() {
  const arena = new Arena();
  const joins = new Joins(arena, false);
  /** A half of one octet, its counter's; the other half's where it waits. */
  const add = (counter: number, second = false, now = 0, index = 1, link = 1) => {
    arena.bytes[0] = counter;
    if (!joins.add(link, index, counter, second, 0, 1, Moment.at(now))) return undefined;
    return [...arena.bytes.subarray(joins.otherAt, joins.otherAt + joins.otherLength)];
  };
  return { joins, add };
}

test('every half that never met its other is counted once: displaced, repeated or too long there', (t) => {
  const { joins, add } = halves();
  for (let counter = 0; counter < 70; counter++) add(2 * counter, false, counter / 100);
  add(20, false, 0.7);
  t.is(joins.expire(Moment.at(1)), 6 + 1);
  t.deepEqual(add(20, true, 1), [20]);
  t.is(joins.expire(Moment.at(999)), 0);
  t.is(joins.expire(Moment.at(1001)), 63);
  t.true(joins.isEmpty);
});

test('a tunnel of lone halves displaces its own, and two of them theirs', (t) => {
  const { joins, add } = halves();
  add(10, false, 0, 1, 1);
  for (let counter = 0; counter < 200; counter++) add(2 * counter, false, 0.001, 2, 2);
  t.deepEqual(add(10, true, 0.002, 1, 1), [10]);
  add(12, false, 0.003, 1, 1);
  for (let counter = 0; counter < 400; counter++) add(2 * counter, false, 0.004, 3 + (counter % 2), 3 + (counter % 2));
  t.deepEqual(add(12, true, 0.005, 1, 1), [12]);
  t.is(joins.expire(Moment.at(9999)), 600);
  t.true(joins.isEmpty);
});

test('halves meet in any order and each once, of one lane and one counter, and not after a second', (t) => {
  const { joins, add } = halves();
  t.is(add(7, true), undefined);
  t.is(add(7, false, 0, 2), undefined);
  t.is(add(9), undefined);
  t.deepEqual(add(9, true), [9]);
  t.is(add(9, true), undefined);
  t.deepEqual(add(7), [7]);
  t.is(add(7, true, 1000, 2), undefined);
  t.is(joins.expire(Moment.at(1000)), 2);
});

test('planes that share an arena join each their own halves', (t) => {
  const arena = new Arena();
  const world = new World({ pathSize: 1096, memory: { arena, aead: new NodeAead(arena) } });
  const { a, b } = world.neighbours();
  a.send(b);
  world.settle();
  const held: Flight[] = [];
  world.wire = (flight) => {
    const isHalf = (flight.bytes[1]! & (FrameFlag.firstHalf | FrameFlag.secondHalf)) !== 0;
    if (isHalf) held.push(flight);
    return !isHalf;
  };
  b.received.length = 0;
  const sent = [a.send(b, 1300, 0xaa), b.send(a, 1300, 0xbb)];
  world.settle();
  const firstsFirst = held.sort((x, y) => (x.bytes[1]! & FrameFlag.secondHalf) - (y.bytes[1]! & FrameFlag.secondHalf));
  t.is(firstsFirst.length, 4);
  for (const { from, to, bytes } of firstsFirst) {
    world.nodes.get(to)!.plane.fromUnderlay(bytes, world.nodes.get(from)!.endpoint);
    world.settle();
  }
  t.deepEqual([...b.received, ...a.received], sent);
});

test('a lone half wakes nobody before its second is over, and is gone then', (t) => {
  const world = new World({ pathSize: 1096 });
  const { a, b } = world.neighbours();
  world.run(10_000);
  const sizes: number[] = [];
  let wakeUps = 0;
  const run = b.plane.run.bind(b.plane);
  b.plane.run = (now) => {
    if (now >= b.plane.deadline()) wakeUps++;
    run(now);
  };
  const countWakeUps = () => {
    wakeUps = 0;
    world.run(980);
    return wakeUps;
  };
  const atRest = countWakeUps();
  world.wire = ({ from, bytes }) => {
    if (from !== a.number || bytes[0] !== FrameType.packet) return true;
    sizes.push(bytes.length);
    return sizes.length !== 2;
  };
  a.send(b, 1300);
  world.settle();
  t.is(sizes.length, 2);
  t.true(countWakeUps() <= atRest + 5, `${wakeUps} times, ${atRest} at rest`);
  t.is(b.dropped('join-expired'), 0);
  world.run(30);
  t.is(b.dropped('join-expired'), 1);
});

test('the time to look at halves is that of the oldest that waits', (t) => {
  const { joins, add } = halves();
  add(1, false, 100);
  add(3, false, 200);
  add(5, false, 300);
  t.is(joins.deadline.millis, 1100);
  add(1, true, 400);
  t.is(joins.expire(Moment.at(1100)), 0);
  t.is(joins.deadline.millis, 1200);
  t.is(joins.expire(Moment.at(1250)), 1);
  add(5, true, 1260);
  add(7, false, 2000);
  t.is(joins.deadline.millis, 3000);
});
