import test from 'ava';
import { seededRandom } from '../../src/random.js';
import { type Millis, second } from '../../src/time.js';
import { Net, type Node } from './plane-world.js';

/** Whether a packet of each reaches the other now. */
function hearEachOther(net: Net, a: Node, b: Node): boolean {
  const before = [a.received.length, b.received.length];
  a.send(b, 1);
  b.send(a, 2);
  net.run(200);
  return a.received.length > before[0]! && b.received.length > before[1]!;
}

/** Both dial whenever no tunnel stands, as the connector does, now and then. */
function keepDialling(a: Node, b: Node, chance: () => number): void {
  for (const [from, to] of [
    [a, b],
    [b, a],
  ] as const) {
    if (from.standing(to) !== 'tunnel' && chance() < 0.15) from.dial(to);
    if (from.standing(to) !== 'none') from.route(to, to);
  }
}

for (const part of [0, 1]) {
  test(`after any cut, loss and repetition two nodes hear each other again within 3 s (part ${part + 1})`, (t) => {
    for (let seed = 100 * part; seed < 100 * part + 4; seed++) {
      const net = new Net(seed);
      const random = seededRandom(seed);
      let [a, b] = [net.node(1), net.node(2)];
      const step = () => keepDialling(a, b, () => random.unit());
      net.run(1);
      a.dial(b);
      net.run(second, 100, step);
      for (let round = 0; round < 6; round++) {
        net.loss = random.unit() < 0.5 ? 0.5 * random.unit() : 0;
        net.repeated = random.unit() < 0.5 ? 0.3 * random.unit() : 0;
        net.late = random.unit() < 0.5 ? 300 * random.unit() : 0;
        net.run(random.unit() * 3 * second, 100, step);
        // In one direction or both, from a moment to longer than an unconfirmed answer lives.
        const ways = random.unit();
        if (ways < 0.7) net.cutWay.add('1-2');
        if (ways > 0.3) net.cutWay.add('2-1');
        const length: Millis = random.unit() < 0.8 ? random.unit() * 5 * second : random.unit() * 50 * second;
        net.run(length / 2, 100, step);
        if (random.unit() < 0.2) {
          if (random.unit() < 0.5) a = net.again(a);
          else b = net.again(b);
        }
        net.run(length / 2, 100, step);
        net.cutWay.clear();
        net.loss = net.repeated = net.late = 0;
        net.run(3 * second, 100, step);
        const here = `seed ${seed}, round ${round}, cut ${Math.round(length)} ms`;
        t.is(a.standing(b), 'tunnel', here);
        t.is(b.standing(a), 'tunnel', here);
        t.true(hearEachOther(net, a, b), here);
        const unknown = () => [a, b].map((node) => node.plane.drops().get('unknown-index') ?? 0);
        const before = unknown();
        net.run(2 * second, 100, step);
        t.deepEqual(unknown(), before, `${here}: frames that nobody can open`);
      }
    }
  });
}

test('dials that cross find each other, however many keys were there before', (t) => {
  for (let before = 0; before < 9; before++) {
    const net = new Net(before);
    const [a, b] = [net.node(1), net.node(2)];
    net.run(1);
    for (let i = 0; i < before; i++) {
      a.dial(b);
      net.run(500);
      net.cut.add('1-2');
      net.run(4 * second);
      net.cut.clear();
    }
    a.dial(b);
    b.dial(a);
    net.run(500);
    a.route(b, b);
    b.route(a, a);
    t.true(hearEachOther(net, a, b), `${before} before`);
    t.deepEqual(
      [a, b].map((node) => node.plane.drops().get('unknown-index') ?? 0),
      [0, 0],
      `${before} before`,
    );
  }
});
