import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import { RunRecord } from '../../bench/record.js';

const circumstances = { machine: 'two cores', commit: 'abc1234+', rounds: 3, seconds: 2, absent: ['tinc'] };
const contenders = [{ name: 'weft', version: '1' }];

test('a run is kept with its commit, every round and the verdicts; one a second later does not take its place', (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'weft-bench-'));
  t.teardown(() => rmSync(folder, { recursive: true }));
  const first = new RunRecord({ ...circumstances, date: '2026-11-27 09:05:07' }, contenders, []);
  first.note('weft', 'tcp1', 0, 4);
  first.note('weft', 'tcp1', 2, 5); // round 1 failed
  t.is(first.last('weft', 'tcp1'), 5);
  t.is(first.last('weft', 'tcp8'), undefined);
  first.save(folder);
  new RunRecord({ ...circumstances, date: '2026-11-27 09:05:08' }, contenders, []).save(folder);
  t.deepEqual(readdirSync(folder).sort(), [
    '2026-11-27-090507.json',
    '2026-11-27-090507.svg',
    '2026-11-27-090508.json',
    '2026-11-27-090508.svg',
  ]);
  const kept = JSON.parse(readFileSync(join(folder, '2026-11-27-090507.json'), 'utf8'));
  t.is(kept.commit, 'abc1234+');
  t.deepEqual(kept.columns[0].values, { tcp1: [4, null, 5] });
  t.like(kept.columns[0].figures.tcp1, { median: 4.5, least: 4, most: 5, rounds: 2 });
  t.deepEqual(kept.floors, JSON.parse(JSON.stringify(first.verdicts())));
  t.true(kept.floors.length > 10);
  t.deepEqual(kept.absent, ['tinc']);
  t.regex(readFileSync(join(folder, '2026-11-27-090507.svg'), 'utf8'), /medians of 2 rounds;/, 'as many as there were');
});
