import test from 'ava';
import { allocatedMegabytes, residentMegabytes } from '../../lab/usage.js';

test('allocated is what was filled, and not the pages of files', (t) => {
  const before = allocatedMegabytes(process.pid);
  t.true(before < residentMegabytes(process.pid) - 10, 'the node binary is not');
  const filled = Buffer.alloc(64_000_000, 1);
  const grown = allocatedMegabytes(process.pid) - before;
  t.true(grown > 60 && grown < 80, `${grown} MB`);
  t.is(filled[0], 1);
});
