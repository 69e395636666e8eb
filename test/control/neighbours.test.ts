import test from 'ava';
import { decodeNeighbours, type FormerNeighbour, Neighbours } from '../../src/control/neighbours.js';
import { Mesh } from '../../src/mesh/mesh.js';
import { seededRandom } from '../../src/random.js';
import { hour, minute, second } from '../../src/time.js';
import { type Machine, World } from './world.js';

/** Whom its disk leads a machine to that is killed now: it knows where they stood, and their record. */
function kept({ disk }: Machine, { wallClock }: World): number[] {
  const [identity, membership, directory] = ['identity', 'membership', 'directory'].map((name) => disk.get(name));
  const mesh = Mesh.restore({ identity, membership, directory } as never, seededRandom(1), wallClock)!;
  return decodeNeighbours(disk.get('neighbours'))
    .map(({ node }) => node)
    .filter((node) => mesh.directory.byNumber(node) !== undefined);
}

test('killed at any moment after joining, a node finds on its disk everybody with whom a tunnel stood for half a second', (t) => {
  const world = new World(21);
  const others = world.network(5);
  world.run(minute);
  const newcomer = world.machine('newcomer');
  newcomer.join(others[0]!.invite());
  world.until(() => newcomer.control !== undefined, 10 * second);
  const stands = new Map<number, number>();
  for (const end = world.now + 2 * second; world.now < end; world.run(100)) {
    for (const { node } of newcomer.control!.tunnels.all()) if (!stands.has(node)) stands.set(node, world.now);
    const known = kept(newcomer, world);
    for (const [node, since] of stands) {
      if (world.now >= since + 500) t.true(known.includes(node), `${node} since ${since}, now ${world.now}`);
    }
  }
  t.is(stands.size, others.length);
  // And they are asked first: the tunnels are all there again before a search would have begun.
  newcomer.crash();
  newcomer.start();
  t.true(world.until(() => others.every((one) => newcomer.hasTunnelTo(one)), 5 * second) < second);
});

const standing = (count: number, port: number): FormerNeighbour[] =>
  Array.from({ length: count }, (_, i) => ({ node: i + 1, endpoint: { address: '192.0.2.1', port } }));

test('tunnels that come and go all day are a write every half minute, after a few at once', (t) => {
  const neighbours = new Neighbours([]);
  const writes: number[] = [];
  for (let now = 0; now < hour; now += 50) {
    if (now % 200 === 0) neighbours.stands(now);
    if (neighbours.deadline() <= now && neighbours.due(now, () => standing(3, 1 + (now % 60_000)))) writes.push(now);
  }
  t.true(writes[7]! < 2 * second, 'few, and at once');
  t.true(writes.length >= 120 && writes.length <= 8 + 120, `${writes.length}`);
});

test('the line goes, and all tunnels fall one after the other: those that stood are kept', (t) => {
  const neighbours = new Neighbours([]);
  neighbours.stands(0);
  t.is(decodeNeighbours(neighbours.due(100, () => standing(5, 16696))).length, 5);
  for (let left = 4; left >= 0; left--) {
    const now = 10 * second + (4 - left) * 500;
    neighbours.fell(now);
    t.is(
      neighbours.due(now, () => standing(left, 16696)),
      undefined,
    );
  }
  t.is(
    neighbours.due(minute, () => []),
    undefined,
  );
  // The line is back, and the tunnels one after the other, but for one: killed meanwhile, the node would ask them all.
  for (let back = 1; back <= 4; back++) {
    const now = minute + back * second;
    neighbours.stands(now);
    t.is(
      neighbours.due(now + 100, () => standing(back, 16696)),
      undefined,
      `${back}`,
    );
  }
  const after = neighbours.deadline();
  t.is(after, minute + 31 * second);
  t.is(decodeNeighbours(neighbours.due(after, () => standing(4, 16696))).length, 4, 'who is gone');
  neighbours.fell(3 * minute);
  t.is(
    neighbours.due(3 * minute + second, () => standing(3, 16696)),
    undefined,
  );
  t.is(decodeNeighbours(neighbours.due(3 * minute + 2 * second, () => standing(3, 16696))).length, 3, 'and another');
});

test('a line that has long stood goes, and its tunnels fall over six seconds: all of them are kept', (t) => {
  const neighbours = new Neighbours([]);
  neighbours.stands(0);
  neighbours.due(100, () => standing(20, 16696));
  for (let now = hour; now <= hour + 9 * second; now += 100) {
    const left = Math.max(0, 20 - Math.floor((now - hour) / 300));
    if ((now - hour) % 300 === 0 && left >= 0 && now <= hour + 6 * second) neighbours.fell(now);
    t.is(
      neighbours.due(now, () => standing(left, 16696)),
      undefined,
      `${now - hour} ms`,
    );
  }
  t.is(neighbours.deadline(), Number.POSITIVE_INFINITY);
});

test('a node that starts keeps whom its disk names beside those whose tunnels stand first', (t) => {
  const neighbours = new Neighbours(standing(5, 16696));
  neighbours.stands(0);
  t.is(
    neighbours.due(100, () => standing(1, 16696)),
    undefined,
  );
  const moved = neighbours.unwritten(second, standing(2, 16697));
  t.deepEqual(
    decodeNeighbours(moved).map(({ node, endpoint }) => [node, endpoint.port]),
    [3, 4, 5].map((node) => [node, 16696]).concat([1, 2].map((node) => [node, 16697])),
  );
  t.is(decodeNeighbours(neighbours.due(neighbours.deadline(), () => standing(2, 16697))).length, 2);
});
