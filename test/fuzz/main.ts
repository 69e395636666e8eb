import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { toHex } from '../../src/bytes.js';
import { Coverage } from './coverage.js';
import { describe, fuzz } from './fuzzer.js';

/**
 * `npm run fuzz -- [--seconds N] [--seed N] [--target NAME]`: so many seconds for each target; the corpus stays in
 * .fuzz/.
 */
const { values } = parseArgs({
  options: { seconds: { type: 'string' }, seed: { type: 'string' }, target: { type: 'string' } },
});
const seconds = Number(values.seconds ?? 20);
const seed = Number(values.seed ?? 1);
const folder = '.fuzz';

const coverage = new Coverage();
const { targets } = await import('./targets/all.js'); // after the coverage began, so that it sees these modules load
const chosen = targets.filter(({ name }) => values.target === undefined || name === values.target);
if (chosen.length === 0) {
  console.error(`no target ${values.target}; there are: ${targets.map(({ name }) => name).join(', ')}`);
  process.exit(1);
}
console.log(`seed ${seed}, ${seconds} s a target`);
for (const target of chosen) {
  const result = fuzz(target, coverage, { seed, seconds, folder });
  console.log(describe(result));
  if (!result.failure) continue;
  const { input, error } = result.failure;
  mkdirSync(folder, { recursive: true });
  const file = join(folder, `failure-${target.name}`);
  writeFileSync(file, input);
  console.error(
    `FAILED: ${error instanceof Error ? error.stack : error}\ninput (${file}): ${toHex(input.subarray(0, 200))}`,
  );
  process.exitCode = 1;
}
coverage.stop();
