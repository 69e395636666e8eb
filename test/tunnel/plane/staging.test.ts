import test from 'ava';
import { Staging } from '../../../src/tunnel/plane/staging.js';
import { World } from './world.js';

const packet = new Uint8Array(100);

/** Packets for 256 nodes, each asked for. */
function full(): Staging {
  const staging = new Staging();
  for (let node = 1; node <= 256; node++) {
    staging.add(node, packet, 0);
    staging.shouldAsk(node, 0);
  }
  return staging;
}

test('256 nodes have packets waiting, and a further one none, until they waited too long', (t) => {
  const staging = full();
  t.is(staging.add(257, packet, 999), 'full');
  t.false(staging.shouldAsk(257, 999));
  t.is(staging.expire(1000).length, 256);
  t.is(staging.add(257, packet, 1000), 'kept');
  t.true(staging.shouldAsk(257, 1000));
});

test('a node whose packets went out leaves its place to another, and keeps it else', (t) => {
  const staging = full();
  for (const node of [1, 2]) t.is(staging.take(node).length, 1);
  t.false(staging.shouldAsk(1, 999), 'it was asked for in this second');
  t.is(staging.add(257, packet, 999), 'kept');
  t.true(staging.shouldAsk(257, 999));
  t.is(staging.add(258, packet, 999), 'kept');
  t.is(staging.add(259, packet, 999), 'full');
  t.is(staging.take(3).length, 1, 'nobody lost a packet for them');
});

test('after sessions with 256 nodes came at once, a 257th is asked for too', (t) => {
  const world = new World();
  const a = world.node(1);
  const relay = world.node(2, 'yes');
  world.join(a, relay);
  const others = Array.from({ length: 257 }, (_, i) => world.node(i + 3));
  for (const other of others) a.route(other, [relay]);
  const first = others.slice(0, 256);
  for (const other of first) a.send(other);
  world.run(50);
  for (const other of first) {
    a.open(other, { kind: 'overlay' });
    a.install(other, 1, 'initiator');
  }
  world.run(10_000);
  t.is(a.dropped('staging-expired'), 0);
  a.events.length = 0;
  a.send(others[256]!);
  world.run(50);
  t.deepEqual(
    a.events.filter(({ kind }) => kind === 'sessionWanted'),
    [{ kind: 'sessionWanted', node: 259 }],
  );
  t.is(a.dropped('staging-full'), 0);
});
