import test from 'ava';
import { seededRandom } from '../../src/random.js';
import { DestinationTable } from '../../src/routing/destination.js';
import { RouterTable } from '../../src/routing/router-table.js';
import { leastProcessorTimeOf } from '../helpers/processor-time.js';

const count = 20_000;
const indexes = Array.from({ length: count }, (_, i) => i);

/** Milliseconds that 20,000 entries of a Map take; all of one bucket would take some thousand times as long. */
const usual = leastProcessorTimeOf(() => {
  const map = new Map(indexes.map((i) => [`${i} ${-i}`, i]));
  for (const i of indexes) map.get(`${i} ${-i}`);
});
const patience = 20 * usual + 100;

const routerIds = {
  'drawn by chance': (i: number) => [Math.imul(i + 1, 0x85ebca6b), Math.imul(i + 7, 0xc2b2ae35)],
  'of one bucket by a hash without keys': (i: number) => [i, Math.imul(i, 0x9e3779b1)],
  'of one sum': (i: number) => [(i << 16) | (0xffff - i), 7],
};

for (const [name, wordsOf] of Object.entries(routerIds)) {
  test(`router-ids ${name} are found as fast as any, and so are those that remain of them`, (t) => {
    let table = new RouterTable(seededRandom(3));
    const ids = indexes.map((i) => wordsOf(i).map((word) => word >>> 0) as [number, number]);
    const took = leastProcessorTimeOf(() => {
      table = new RouterTable(seededRandom(3));
      for (const [high, low] of ids) table.intern(high, low);
      for (const [high, low] of ids) table.find(high, low);
    });
    t.deepEqual(
      ids.map(([high, low]) => table.find(high, low)),
      indexes,
    );
    table.retain(new Set(indexes.filter((i) => i % 2 === 0)));
    t.is(table.size, count / 2);
    t.deepEqual([table.find(...ids[2]!), table.find(...ids[3]!)], [2, -1]);
    t.true(took < patience, `${took} ms, a Map ${usual}`);
  });
}

test('prefixes of one sum are found as fast as any', (t) => {
  let table = new DestinationTable(undefined, seededRandom(4));
  const prefixes = indexes.map((i) => {
    const prefix = new Uint8Array(16);
    new DataView(prefix.buffer).setUint32(4, (i << 16) | (0xffff - i));
    return prefix;
  });
  const took = leastProcessorTimeOf(() => {
    table = new DestinationTable(undefined, seededRandom(4));
    for (const prefix of prefixes) table.add(table.prefixOf(prefix, 128), 0);
    for (const prefix of prefixes) table.rowOf(prefix, 128);
  });
  t.deepEqual(
    prefixes.map((prefix) => table.rowOf(prefix, 128)),
    indexes,
  );
  t.true(took < patience, `${took} ms, a Map ${usual}`);
});
