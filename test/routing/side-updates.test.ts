import test from 'ava';
import { nodePrefix } from '../../src/addr/node-number.js';
import { seededRandom } from '../../src/random.js';
import { signedOctets } from '../../src/routing/admission.js';
import { PacketWriter } from '../../src/routing/codec/packet-writer.js';
import { Network, overlay, signAs } from './network.js';

const target = 50;
const neighbours = [2, 3, 4, 5, 6, 7];
const prefix = nodePrefix(overlay, target);
const [high, low] = [target << 8, 9];

/** What neighbour and speaker say of the target at this seqno and metric; signed, or bare. */
function update(seqno: number, metric: number, signed: boolean): Uint8Array {
  const writer = new PacketWriter(1200);
  writer.update({
    prefix: prefix.bytes,
    prefixLength: prefix.length,
    routerIdHigh: high,
    routerIdLow: low,
    seqno,
    metric,
    interval: 30_000,
    ...(signed ? { signature: signAs(target, signedOctets(prefix, high, low, seqno, 0)) } : {}),
  });
  return writer.finish();
}

test('whatever comes from whom, the best usable way is in use and the next two stand by', (t) => {
  for (let seed = 1; seed <= 12; seed++) {
    const random = seededRandom(seed);
    const world = new Network(seed, { switchMargin: 0, switchShare: 0, dwell: 0, leftFor: 0 });
    const hub = world.node(1);
    for (const number of neighbours) {
      world.node(number);
      world.link(1, number, { delay: 5 + number });
    }
    world.run(5000);
    let seqno = 0xfff8;
    const said = new Map<number, [number, number]>();
    for (let step = 0; step < 400; step++) {
      const from = neighbours[random.below(neighbours.length)]!;
      const chance = random.below(20);
      if (chance === 0) seqno = (seqno + 1) & 0xffff;
      const again = said.get(from);
      const [at, metric]: [number, number] =
        chance < 8 && again ? again : [seqno, chance < 10 ? 0xffff : 1 + random.below(chance < 14 ? 300 : 3000)];
      said.set(from, [at, metric]);
      world.inject(from, 1, update(at, metric, random.below(4) > 0));
      world.run(random.below(3) === 0 ? 80 : 1);
      const rows = hub.speaker.view(world.now, prefix);
      const unusable = ['unproven', 'old-epoch', 'neighbour-unreachable'];
      const usable = rows.filter((row) => row.feasible && !unusable.includes(row.standing));
      const best = usable.map((row) => row.metric).sort((a, b) => a - b);
      const choices = hub.routes.get(prefix.key)?.choices ?? [];
      const chosen = choices.map(({ interface: id }) => rows.find((row) => row.interface === id)!.metric);
      t.deepEqual(chosen, best.slice(0, 3), `seed ${seed}, step ${step}`);
      t.is(rows.find((row) => row.selected)?.metric, best[0], `seed ${seed}, step ${step}`);
    }
  }
});

test('a newer seqno is asked for when a way that is not feasible would be better', (t) => {
  const world = new Network(1);
  const hub = world.node(1);
  for (const number of [2, 3]) {
    world.node(number);
    world.link(1, number, { delay: 5 });
  }
  world.run(5000);
  const way = () => hub.routes.get(prefix.key)?.choices[0]?.neighbourNode;
  world.inject(2, 1, update(7, 100, true));
  world.run(1000);
  t.is(way(), 2);
  world.inject(3, 1, update(7, 5000, true));
  t.is(hub.speaker.sizes().pending, 0, 'no better, and not feasible');
  world.change(1, 2, { delay: 150 });
  world.run(20_000);
  world.inject(3, 1, update(7, 400, false));
  t.is(way(), 2);
  t.is(hub.speaker.sizes().pending, 1);
});
