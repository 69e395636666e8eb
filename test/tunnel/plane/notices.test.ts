import test from 'ava';
import { buildPacket, isSound } from './packets.js';
import { type Node, World, type WorldOptions } from './world.js';

/** 1 – 2 – 3 – 4: two relays between the ends, and keys between the ends. */
function chain(options: WorldOptions = {}): { world: World; a: Node; first: Node; second: Node; b: Node } {
  const world = new World(options);
  const [a, first, second, b] = [world.node(1), world.node(2, 'yes'), world.node(3, 'yes'), world.node(4)];
  world.join(a, first);
  world.join(first, second);
  world.join(second, b);
  a.open(b, { kind: 'overlay' });
  b.open(a, { kind: 'overlay' });
  a.route(b, [first]);
  first.route(b, [second]);
  second.route(a, [first]);
  b.route(a, [second]);
  world.rekey(a, b, 1);
  return { world, a, first, second, b };
}

function withHopLimit(a: Node, b: Node, hopLimit: number): Uint8Array {
  const payload = new Uint8Array(300).fill(hopLimit);
  const packet = buildPacket({ version: 6, protocol: 'udp', source: a.address, destination: b.address, payload });
  packet[7] = hopLimit;
  a.plane.fromKernel(packet);
  return packet;
}

for (const workers of [1, 3]) {
  test(`a hop limit runs out at the relay it would run out at, which answers by its own address (${workers} workers)`, (t) => {
    const { world, a, first, second, b } = chain({ workers });
    for (const [hopLimit, relay] of [
      [1, first],
      [2, second],
    ] as const) {
      const sent = withHopLimit(a, b, hopLimit);
      world.settle();
      const answer = a.received.at(-1)!;
      t.is(relay.dropped('hop-limit'), 1);
      t.deepEqual([...answer.subarray(40, 42)], [3, 0], 'time exceeded, hop limit');
      t.deepEqual(answer.slice(8, 24), relay.address);
      t.deepEqual(answer.slice(24, 40), a.address);
      t.deepEqual(answer.slice(48), sent.slice(0, 128));
      t.true(isSound(answer));
    }
    t.is(b.received.length, 0);
    withHopLimit(a, b, 3);
    world.settle();
    t.is(b.received.length, 1);
    t.is(b.received[0]![7], 1, 'each relay took one');
  });
}

test('a relay without a next hop says so, and the source answers its kernel', (t) => {
  const { world, a, first, second, b } = chain();
  second.route(b, []);
  world.settle();
  withHopLimit(a, b, 64);
  world.settle();
  t.is(second.dropped('unreachable'), 1);
  const answer = a.received.at(-1)!;
  t.deepEqual([...answer.subarray(40, 42)], [1, 0], 'no route to destination');
  t.deepEqual(answer.slice(8, 24), second.address);
  t.is(first.received.length, 0);
});

test('relays send few notices however many frames end there, and a notice is believed once', (t) => {
  const { world, a, first, b } = chain();
  for (let i = 0; i < 60; i++) withHopLimit(a, b, 1);
  world.settle();
  t.is(first.dropped('hop-limit'), 60);
  t.true(a.received.length > 0 && a.received.length <= 20, `${a.received.length}`);
  world.run(1000);
  const before = a.received.length;
  let notices: Uint8Array[] = [];
  world.wire = ({ from, to, bytes }) => {
    if (from === 2 && to === 1 && bytes[0] === 0x12) notices.push(bytes);
    return true;
  };
  withHopLimit(a, b, 1);
  world.settle();
  t.is(a.received.length, before + 1);
  t.is(notices.length, 1);
  notices = [];
  // The same frame once more: its notice names a frame that was answered.
  const frame = world.captured.findLast(({ from, to, bytes }) => from === 1 && to === 2 && bytes[0] === 0x12)!;
  first.plane.fromUnderlay(frame.bytes, a.endpoint);
  world.settle();
  t.is(a.received.length, before + 1);
});

test('a large packet that was cut on the way runs out like any other', (t) => {
  const { world, a, second, b } = chain({ pathSize: 1300 });
  world.run(1000);
  const payload = new Uint8Array(1332).fill(7);
  const packet = buildPacket({ version: 6, protocol: 'udp', source: a.address, destination: b.address, payload });
  packet[7] = 2;
  a.plane.fromKernel(packet);
  world.settle();
  t.deepEqual(a.received.at(-1)!.slice(8, 24), second.address);
});
