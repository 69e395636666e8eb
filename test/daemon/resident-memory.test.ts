import test from 'ava';
import { unchangedFiles } from '../../daemon/resident-memory.js';

const mapping = (range: string, rights: string, inode: number, { anonymous = 0, swap = 0 } = {}) =>
  [
    `${range} ${rights} 00000000 fe:00 ${inode}    ${inode === 0 ? '' : '/usr/bin/node'}`,
    'Size:                  8 kB',
    'Rss:                   8 kB',
    `Anonymous:             ${anonymous} kB`,
    `Swap:                  ${swap} kB`,
    'VmFlags: rd ex mr mw me',
  ].join('\n');

test('text and constants of a file are given back', (t) => {
  const smaps = [mapping('400000-402000', 'r--p', 7), mapping('402000-406000', 'r-xp', 7)].join('\n');
  t.deepEqual(unchangedFiles(`${smaps}\n`), [
    { start: 0x400000, length: 0x2000 },
    { start: 0x402000, length: 0x4000 },
  ]);
});

test('what was changed or can be, in memory or swapped out, stays: it is nowhere else', (t) => {
  const kept = [
    mapping('1000-2000', 'r--p', 7, { anonymous: 4 }),
    mapping('2000-3000', 'r--p', 7, { swap: 4 }),
    mapping('3000-4000', 'rw-p', 7),
    mapping('4000-5000', 'rwxp', 7),
    mapping('5000-6000', 'r--p', 0),
    mapping('6000-7000', 'r--s', 7),
  ];
  t.deepEqual(unchangedFiles(kept.join('\n')), []);
});
