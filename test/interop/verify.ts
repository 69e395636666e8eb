import { reportRow } from '../../scripts/verify-row.js';
import type { Millis } from '../../src/time.js';
import { type Readable, routerHas } from './agree.js';
import { Babeld } from './babeld.js';
import { Bird } from './bird.js';
import { Weft } from './weft.js';
import { World } from './world.js';

/**
 * The long part of the interop tests: a babeld that keeps its router-id and lost its seqno. It begins a thousand behind
 * what it said before, so its routes are unfeasible to whoever remembers that, and a request for a newer seqno is
 * hopeless: it would have to count a thousand times. They are back when the source is forgotten: by weft after three
 * minutes, by BIRD, which remembers also what it passes on to nobody, after five. Each is judged from its own table.
 */
const weftForgets: Millis = 180_000;
const birdForgets: Millis = 300_000;
const slack: Millis = 40_000;
/** Nothing that is feasible at once takes so long. */
const behind: Millis = 20_000;
const routerId = 'router-id 02:00:00:ff:fe:00:00:01';
/** Far from where it wraps. */
const seqno = 5000;
const address = 'fd00:1::1/128';

const world = new World();
try {
  // A line: only who passes a route on must remember its seqno (RFC 8966 §3.7.3).
  const [a, b, c, d] = [world.host('a'), world.host('b'), world.host('c'), world.host('d')];
  world.lan('left', a, b);
  world.lan('right', b, c, d);
  world.addresses(a, address);
  const babeld = await new Babeld(world, a, {
    devices: ['left'],
    announce: ['redistribute local ip fd00::/16 allow'],
    extra: [routerId],
    seqno,
  }).ready();
  const weft = await new Weft(world, b, { devices: ['left', 'right'], originate: ['fd00:2::1/128'] }).ready();
  const far = await new Babeld(world, c, { devices: ['right'], announce: [] }).ready();
  const bird = await new Bird(world, d, { devices: ['right'] }).ready();
  for (const router of [far, bird]) await routerHas(router, 15_000, [`${address} via 2`]);
  await babeld.end('SIGTERM');
  for (const router of [far, bird]) await routerHas(router, 5000, [], [address]);
  await babeld.startAgain('behind');
  const from = performance.now();
  const has = async (router: Readable, name: string, way: string, forgets: Millis): Promise<void> => {
    await routerHas(router, from + forgets + slack - performance.now(), [way]);
    const back = performance.now() - from;
    reportRow({
      what: `babeld begins again with its router-id and a seqno of long ago: its route back in the table of ${name}`,
      target: `${behind / 1000} to ${(forgets + slack) / 1000} s`,
      measured: `${(back / 1000).toFixed(1)} s`,
      ok: back >= behind && back <= forgets + slack,
    });
  };
  await has(weft, 'weft', `${address} via 1`, weftForgets);
  await routerHas(far, 15_000, [`${address} via 2`]);
  await routerHas(babeld, 15_000, ['fd00:2::1/128 via 2']);
  await has(bird, 'BIRD', `${address} via 2`, birdForgets);
  const complaints = [...babeld.complaints, ...far.complaints, ...bird.complaints];
  reportRow({
    what: 'complaints in the logs of babeld and BIRD',
    target: '0',
    measured: String(complaints.length),
    ok: complaints.length === 0,
  });
} finally {
  world.close();
}
process.exit(0);
