import test from 'ava';
import { FrameType, tagLength, transportHeaderLength } from '../../../src/tunnel/frame.js';
import { laneKey, NodeAead } from '../../../src/tunnel/plane/aead.js';
import { Arena } from '../../../src/tunnel/plane/arena.js';
import { ProbeKind } from '../../../src/tunnel/plane/prober.js';
import { writeHeader } from '../../../src/tunnel/plane/transmitter.js';
import { key, type Node, receiverIndex, World } from './world.js';

const controlFrame = Uint8Array.of(1, 42);

test('no more of a member’s control frames wait for our control plane than five hundred, and nothing is taken from others', (t) => {
  const world = new World();
  const [a, b, c] = [world.node(1), world.node(2), world.node(3)];
  world.join(a, b);
  world.join(c, b);
  const heardFrom = (node: Node) =>
    b.events.filter((event) => event.kind === 'control' && event.link === node.number).length;
  const say = (node: Node, frames: number) => {
    for (let i = 1; i <= frames; i++) node.command({ kind: 'sendControl', link: 2, bytes: controlFrame });
  };
  // All of them come before the control plane looks.
  say(a, 700);
  say(c, 100);
  world.settle();
  t.deepEqual([heardFrom(a), heardFrom(c)], [500, 100]);
  t.is(b.dropped('control-rate'), 200);
  for (let turn = 1; turn <= 3; turn++) {
    say(a, 500);
    world.settle();
    t.is(heardFrom(a), 500 + 500 * turn, 'what was taken leaves its place');
  }
  t.is(b.dropped('control-rate'), 200);
});

test('answers to probes that nobody sent go from a worker to the first at a rate', (t) => {
  const world = new World({ workers: 2 });
  const { a, b } = world.neighbours();
  a.send(b);
  world.settle(); // the session is confirmed, and answers to b's own probes have come
  const arena = new Arena();
  const sealer = new NodeAead(arena).sealing('aes-256-gcm', laneKey(new Uint8Array(key(1, 2, 1)), 0));
  const answer = Uint8Array.of(ProbeKind.pong, ...new Array<number>(15).fill(0));
  const index = receiverIndex(2, 1, 1);
  t.is(index % 2, 1, 'the first lane is for worker 1');
  const flood = (frames: number, first: number) => {
    for (let counter = first; counter < first + frames; counter++) {
      arena.bytes.set(answer, arena.tunIn);
      writeHeader(arena.view, arena.udpIn, FrameType.probe, 0, index, counter);
      sealer.seal(arena.udpIn, counter, arena.tunIn, answer.length, 0, 0);
      const end = arena.udpIn + transportHeaderLength + answer.length + tagLength;
      b.plane.fromUnderlay(arena.bytes.slice(arena.udpIn, end), a.endpoint);
    }
    world.settle();
  };
  flood(300, 1000);
  t.is(b.dropped('not-authentic') + b.dropped('unknown-index'), 0);
  t.is(b.dropped('control-rate'), 250);
  world.run(100);
  flood(300, 2000);
  t.is(b.dropped('control-rate'), 530);
});
