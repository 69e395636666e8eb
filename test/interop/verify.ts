import { reportRow } from '../../scripts/verify-row.js';
import { routerHas } from './agree.js';
import { Babeld } from './babeld.js';
import { Weft } from './weft.js';
import { World } from './world.js';

/**
 * The long part of the interop tests: a babeld that keeps its router-id and lost its seqno. It begins a thousand behind
 * what it said before, so its routes are unfeasible to whoever remembers that, and a request for a newer seqno is
 * hopeless: it would have to count a thousand times. They are back when the source is forgotten.
 */
const sourceLifetime = 180_000;
const slack = 40_000;
/** Nothing that is feasible at once takes so long. */
const behind = 20_000;
const routerId = 'router-id 02:00:00:ff:fe:00:00:01';
const address = 'fd00:1::1/128';

const world = new World();
try {
  // A line: only who passes a route on remembers its seqno (RFC 8966 §3.7.3).
  const [a, b, c] = [world.host('a'), world.host('b'), world.host('c')];
  world.lan('left', a, b);
  world.lan('right', b, c);
  world.addresses(a, address);
  const babeld = await new Babeld(world, a, {
    devices: ['left'],
    announce: ['redistribute local ip fd00::/16 allow'],
    extra: [routerId],
  }).ready();
  const weft = await new Weft(world, b, { devices: ['left', 'right'], originate: ['fd00:2::1/128'] }).ready();
  const far = await new Babeld(world, c, { devices: ['right'], announce: [] }).ready();
  await routerHas(far, 15_000, [`${address} via 2`]);
  await babeld.end('SIGTERM');
  await routerHas(far, 5000, [], [address]);
  await babeld.startAgain('behind');
  const from = performance.now();
  await routerHas(weft, sourceLifetime + slack, [`${address} via 1`]);
  await routerHas(far, 15_000, [`${address} via 2`]);
  await routerHas(babeld, 15_000, ['fd00:2::1/128 via 2']);
  const back = performance.now() - from;
  reportRow({
    what: 'babeld begins again with its router-id and a seqno of long ago: route back when the source is forgotten',
    target: `${behind / 1000} to ${(sourceLifetime + slack) / 1000} s`,
    measured: `${(back / 1000).toFixed(1)} s`,
    ok: back >= behind && back <= sourceLifetime + slack,
  });
  reportRow({
    what: 'complaints in the log of babeld',
    target: '0',
    measured: String(babeld.complaints.length),
    ok: babeld.complaints.length === 0,
  });
} finally {
  world.close();
}
process.exit(0);
