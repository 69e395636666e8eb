import test from 'ava';
import { seededRandom } from '../../src/random.js';
import { Agenda } from './agenda.js';
import { BabelNetwork } from './babel-network.js';
import { prefixOf, prefixText } from './babel-node.js';
import { EventQueue } from './event-queue.js';
import { none, own } from './next-hops.js';
import { PacketScan } from './packet-scan.js';
import { isNewer, readPacket, type Seen } from './packet-view.js';
import { type Parcel, Parcels } from './parcels.js';
import { compareAtRest } from './rest.js';
import { type CostEdge, defended, reversed, shortestTo } from './shortest.js';
import { grid, line, randomTunnels, ring } from './topology.js';

test('the queue gives what is due in order, and equals in the order in which they were added', (t) => {
  const random = seededRandom(7);
  const queue = new EventQueue();
  const expected: { time: number; order: number }[] = [];
  const seen: { time: number; order: number }[] = [];
  for (let order = 0; order < 2000; order++) {
    const time = random.below(300);
    expected.push({ time, order });
    queue.add(time, () => seen.push({ time, order }));
    if (random.below(3) === 0) {
      queue.take()?.();
      expected.sort((a, b) => a.time - b.time || a.order - b.order);
      t.deepEqual(seen.at(-1), expected.shift());
    }
  }
  while (queue.size > 0) queue.take()?.();
  expected.sort((a, b) => a.time - b.time || a.order - b.order);
  t.deepEqual(seen.slice(-expected.length), expected);
});

test('least costs agree with trying every intermediate node', (t) => {
  const random = seededRandom(3);
  const nodes = 14;
  const edges: CostEdge[][] = Array.from({ length: nodes }, () => []);
  const best = Array.from({ length: nodes }, (_, i) =>
    Array.from({ length: nodes }, (_, j) => (i === j ? 0 : Number.POSITIVE_INFINITY)),
  );
  for (const [a, b] of randomTunnels(nodes, 2, random)) {
    for (const [from, to] of [
      [a, b],
      [b, a],
    ] as const) {
      const cost = 1 + random.below(50);
      edges[from]!.push({ to, cost });
      best[from]![to] = cost;
    }
  }
  for (let k = 0; k < nodes; k++) {
    for (let i = 0; i < nodes; i++) {
      for (let j = 0; j < nodes; j++) best[i]![j] = Math.min(best[i]![j]!, best[i]![k]! + best[k]![j]!);
    }
  }
  for (let target = 0; target < nodes; target++) {
    t.deepEqual(
      [...shortestTo(target, reversed(edges))],
      best.map((row) => row[target]!),
    );
  }
});

test('at rest a way may be as much longer as hysteresis keeps it, and no more', (t) => {
  //  2 ── 1 ── 0, and 2 ── 0 directly, which costs `direct`; the other links 100 each
  const rest = (direct: number, believed?: number) => {
    const two = [
      { to: 1, cost: 100 },
      { to: 0, cost: direct },
    ];
    const edges: CostEdge[][] = [[], [{ to: 0, cost: 100 }], two];
    const vias = [own, 0, 0];
    return compareAtRest(edges, [0], (node) => vias[node]!, {
      mostKept: defended({ switchMargin: 50, switchShare: 1 / 16 }),
      ...(believed === undefined ? {} : { metricOf: (node: number) => (node === 2 ? believed : undefined) }),
    });
  };
  // 1 may be at 160 by another way than this, (100 + 50) · 16/15, and 2 at (160 + 100 + 50) · 16/15 = 330.
  t.like(rest(200), { longer: 0, beyond: 0 });
  t.like(rest(330), { longer: 1, beyond: 0 });
  t.like(rest(331), { longer: 1, beyond: 1 });
  t.like(rest(150, 150), { untrue: 0 });
  t.like(rest(150, 149), { untrue: 1 });
  t.is(compareAtRest([[], [{ to: 0, cost: 5 }]], [0], (node) => (node === 0 ? own : none)).starved, 1);
});

test('topologies have the edges they are named for', (t) => {
  t.is(line(5).length, 4);
  t.is(ring(5).length, 5);
  t.is(grid(3, 4).length, 17);
  const random = randomTunnels(200, 10, seededRandom(1));
  t.is(random.length, 2000);
  t.is(new Set(random.map(([a, b]) => [a, b].sort((x, y) => x - y).join())).size, 2000);
});

test('the reader of packets follows compression and tells updates from requests', (t) => {
  const body = [
    '060a0000000000000000000a', // router-id
    '0812028040000190000500601122334455667788', // update, P flag, /64
    '080a0200400802bc0006ffff', // the same prefix with all 8 octets omitted, retracted
    '0a16024000074000000000000000000a1122334455667788', // seqno request, 64 hops
  ].join('');
  const bytes = Buffer.from(`2a02${(body.length / 2).toString(16).padStart(4, '0')}${body}`, 'hex');
  t.deepEqual(readPacket(bytes), [
    {
      kind: 'update',
      prefix: '2:1122334455667788/64',
      routerId: '000000000000000a',
      seqno: 5,
      metric: 96,
    },
    {
      kind: 'update',
      prefix: '2:1122334455667788/64',
      routerId: '000000000000000a',
      seqno: 6,
      metric: 0xffff,
    },
    {
      kind: 'seqnoRequest',
      prefix: '2:1122334455667788/64',
      routerId: '000000000000000a',
      seqno: 7,
      hopCount: 64,
    },
  ]);
  t.true(isNewer(0, 65535) && !isNewer(65535, 0) && !isNewer(0x8000, 0));
});

test('what is read for a few prefixes is what the reader of packets sees of them', (t) => {
  const nodes = 12;
  const world = new BabelNetwork({ seed: 5, nodes, recorded: false, watch: [] });
  const few = [0, 3, 7];
  const scan = new PacketScan(few.map(prefixOf));
  const texts = new Set(few.map((index) => prefixText(prefixOf(index))));
  const concerns = (seen: Seen) =>
    seen.kind === 'hello' ||
    ('prefix' in seen && (seen.prefix === '*' ? seen.kind === 'update' : texts.has(seen.prefix)));
  const kinds = new Map<string, number>();
  world.network.observe({
    sent: (_from, _to, bytes) => {
      const expected = readPacket(bytes).filter((seen) => concerns(seen) && seen.kind !== 'routeRequest');
      t.deepEqual(scan.read(bytes), expected);
      for (const seen of expected) {
        const kind = seen.kind === 'update' && seen.signed ? 'signed update' : seen.kind;
        kinds.set(kind, (kinds.get(kind) ?? 0) + 1);
      }
    },
  });
  for (const [a, b] of grid(4, 3)) world.network.link(a, b, { delay: 5 + 7 * a });
  world.runTo(20_000);
  world.network.change(world.network.linkBetween(0, 1), { delay: 300 });
  world.network.cut(world.network.linkBetween(0, 4), 100);
  world.runTo(40_000);
  world.network.kill(3, 200);
  world.runTo(400_000);
  for (const kind of ['hello', 'update', 'signed update', 'seqnoRequest']) t.true((kinds.get(kind) ?? 0) > 0, kind);
});

test('nodes that take turns each do what is due to them in order, and what concerns the network comes in between', (t) => {
  const agenda = new Agenda(5);
  const seen: string[] = [];
  const note = (node: number, time: number, then?: () => void) =>
    agenda.by(node, time, () => {
      seen.push(`${node} at ${agenda.now}`);
      then?.();
    });
  note(1, 1);
  note(0, 4, () => note(0, 4.5));
  note(1, 3, () => note(0, 8));
  agenda.at(6, () => seen.push(`network at ${agenda.now}`));
  agenda.runTo(10);
  t.deepEqual(seen, ['0 at 4', '0 at 4.5', '1 at 1', '1 at 3', 'network at 6', '0 at 8']);
  t.is(agenda.now, 10);
  note(0, 12, () => note(1, 13));
  t.throws(() => agenda.runTo(20), { message: 'node 0 reaches node 1 in less than the lookahead' });
});

test('what is on its way is what was sent, however many others come and go', (t) => {
  const random = seededRandom(5);
  const parcels = new Parcels();
  const onTheirWay: { parcel: Parcel; bytes: Uint8Array }[] = [];
  for (let sent = 0; sent < 4000; sent++) {
    const bytes = new Uint8Array(65 + random.below(1216)).fill(sent);
    onTheirWay.push({ parcel: parcels.pack(bytes), bytes: bytes.slice() });
    bytes.fill(0xff);
    if (sent < 1500 || random.below(2) === 0) continue;
    const [arrived] = onTheirWay.splice(random.below(onTheirWay.length), 1);
    t.deepEqual(parcels.open(arrived!.parcel), arrived!.bytes);
    parcels.discard(arrived!.parcel);
  }
});
