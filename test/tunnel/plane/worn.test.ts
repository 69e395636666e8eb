import test, { type ExecutionContext } from 'ava';
import { FrameType } from '../../../src/tunnel/frame.js';
import { laneKey, NodeAead } from '../../../src/tunnel/plane/aead.js';
import { Arena } from '../../../src/tunnel/plane/arena.js';
import { writeHeader } from '../../../src/tunnel/plane/transmitter.js';
import { buildPacket } from './packets.js';
import { SendCounters } from './send-counters.js';
import { key, type Node, receiverIndex, World } from './world.js';

/** PROTOCOL.md §2. */
const worn = 2 ** 27;
const last = 2 ** 28;

const ways = [1, 3].flatMap((workers) =>
  (['aes-256-gcm', 'chacha20-poly1305'] as const).map((cipher) => ({ workers, cipher })),
);

function everyWay(title: string, scenario: (t: ExecutionContext, options: (typeof ways)[number]) => void): void {
  for (const options of ways) {
    test(`${title} (${options.cipher}, workers: ${options.workers})`, (t) => scenario(t, options));
  }
}

const wornEvents = (node: Node) => node.events.filter(({ kind }) => kind === 'worn');

everyWay('a lane that has sent 2^27 frames asks for new keys, once, and goes on', (t, options) => {
  const counters = new SendCounters();
  const world = new World(options);
  const { a, b } = counters.during(() => world.neighbours());
  const session = receiverIndex(1, 2, 1);
  counters.set(session, worn - 1);
  a.send(b);
  world.settle();
  t.is(counters.most(session), worn);
  t.deepEqual(wornEvents(a), []);
  for (let i = 0; i < 3; i++) {
    a.send(b);
    world.settle();
    t.deepEqual(wornEvents(a), [{ kind: 'worn', link: 2, localIndex: session }]);
  }
  t.is(b.received.length, 4);
  t.is(a.dropped('worn-session'), 0);
});

everyWay('nothing is sealed with the counter 2^28, or any beyond; with new keys packets pass', (t, options) => {
  const counters = new SendCounters();
  const world = new World(options);
  const { a, b } = counters.during(() => world.neighbours());
  const session = receiverIndex(1, 2, 1);
  counters.set(session, last - 1);
  a.send(b);
  world.settle();
  t.is(b.received.length, 1, 'the last one');
  const sentByA = () => world.captured.filter(({ from }) => from === 1).length;
  const before = sentByA();
  for (let i = 1; i <= 3; i++) {
    const dropped = a.dropped('worn-session');
    a.send(b);
    world.settle();
    t.true(a.dropped('worn-session') > dropped, 'the packet, and with one worker the probes of the path');
  }
  t.is(sentByA(), before);
  t.is(counters.most(session), last);
  world.rekey(a, b, 2);
  a.send(b);
  world.settle();
  t.is(b.received.length, 2);
});

everyWay('a packet in two halves, for which one counter is left, is not sent in part', (t, options) => {
  const counters = new SendCounters();
  const world = new World({ ...options, pathSize: 1300 });
  const { a, b } = counters.during(() => world.neighbours());
  world.run(3000);
  a.send(b, 1320);
  world.settle();
  t.is(b.received.length, 1);
  counters.set(receiverIndex(1, 2, 1), last - 1);
  const before = world.captured.length;
  a.send(b, 1320);
  world.settle();
  t.is(a.dropped('worn-session'), 1);
  t.is(world.captured.length, before);
});

everyWay('a relay whose lane is worn out passes nothing on, and says so', (t, options) => {
  const counters = new SendCounters();
  const world = new World(options);
  const { a, relay, b } = counters.during(() => world.relayed());
  a.send(b);
  world.settle();
  t.is(b.received.length, 1);
  counters.set(receiverIndex(2, 3, 1), last);
  a.send(b);
  world.settle();
  t.is(b.received.length, 1);
  t.is(relay.dropped('worn-session'), 1);
});

everyWay('a frame with the counter 2^28 is refused, however well it is sealed', (t, options) => {
  const world = new World(options);
  const { a, b } = world.neighbours();
  const payload = new Uint8Array(100);
  const packet = buildPacket({ version: 6, protocol: 'udp', source: a.address, destination: b.address, payload });
  const arena = new Arena();
  const sealing = new NodeAead(arena).sealing(options.cipher, laneKey(new Uint8Array(new Uint8Array(key(1, 2, 1))), 0));
  /** Sealed by who has the key of the first lane. `high`: the counter's upper half. */
  const receive = (counter: number, high = 0) => {
    const at = arena.udpIn;
    arena.bytes.set(packet, arena.tunIn);
    writeHeader(arena.view, at, FrameType.packet, 0, receiverIndex(2, 1, 1), counter);
    arena.view.setInt32(at + 8, high);
    sealing.seal(at, counter, arena.tunIn, packet.length, 0, 0);
    b.plane.fromUnderlay(arena.bytes.slice(at, at + packet.length + 32), a.endpoint);
    world.settle();
    return [b.received.length, b.dropped('worn-session')];
  };
  t.deepEqual(receive(last), [0, 1]);
  t.deepEqual(receive(2 ** 32 - 1), [0, 2]);
  t.deepEqual(receive(77, 1), [0, 3]);
  t.deepEqual(receive(last - 1), [1, 3], 'the last that counts');
});

everyWay('nothing is sealed with keys that are 180 s old', (t, options) => {
  const world = new World(options);
  const { a, b } = world.neighbours();
  const sentByA = () => world.captured.filter(({ from }) => from === 1).length;
  world.run(179_900);
  a.send(b);
  world.settle();
  t.is(b.received.length, 1);
  world.run(100);
  const before = sentByA();
  a.send(b);
  world.run(1000);
  t.is(sentByA(), before);
  t.is(b.received.length, 1);
});
