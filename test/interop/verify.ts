import { reportRow } from '../../scripts/verify-row.js';
import { routerHas } from './agree.js';
import { Babeld } from './babeld.js';
import { Weft } from './weft.js';
import { World } from './world.js';

/**
 * The long part of the interop tests: a babeld that keeps its router-id and has lost its seqno. Its routes are unfeasible to
 * whoever remembers the old seqno, until that source is forgotten (babeld 1.12.1 begins at a random seqno, so half of the
 * times it is newer, and all is well at once: it restarts until the other half has been seen).
 */
const sourceLifetime = 180_000;
const slack = 40_000;
const mostRestarts = 12;
/** Nothing that is feasible at once takes so long. */
const behind = 20_000;
const routerId = 'router-id 02:00:00:ff:fe:00:00:01';
const address = 'fd00:1::1/128';

const world = new World();
try {
  const [a, b] = [world.host('a'), world.host('b')];
  world.lan('lan0', a, b);
  world.addresses(a, address);
  const babeld = await new Babeld(world, a, {
    devices: ['lan0'],
    announce: ['redistribute local ip fd00::/16 allow'],
    extra: [routerId],
  }).ready();
  const weft = await new Weft(world, b, { devices: ['lan0'], originate: ['fd00:2::1/128'] }).ready();
  await routerHas(weft, 15_000, [`${address} via 1`]);
  let restarts = 0;
  let worst = 0;
  while (worst < behind && restarts++ < mostRestarts) {
    await babeld.end('SIGKILL');
    await babeld.startAgain('lost');
    const from = performance.now();
    await routerHas(weft, sourceLifetime + slack, [`${address} via 1`]);
    await routerHas(babeld, 15_000, ['fd00:2::1/128 via 2']);
    worst = Math.max(worst, performance.now() - from);
  }
  reportRow({
    what: 'babeld restarts with its router-id and without its seqno until it begins behind: route back when the source is forgotten',
    target: `${behind / 1000} to ${(sourceLifetime + slack) / 1000} s`,
    measured: `${(worst / 1000).toFixed(1)} s, at restart ${restarts}`,
    ok: worst >= behind && worst <= sourceLifetime + slack,
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
