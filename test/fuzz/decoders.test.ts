import test from 'ava';
import { toHex } from '../../src/bytes.js';
import { Coverage } from './coverage.js';
import { describe, fuzz } from './fuzzer.js';

/** The short form of `npm run fuzz`: a fixed seed and a fixed number of inputs, so that a failure comes again. */
const coverage = new Coverage();
const { targets } = await import('./targets/all.js');
/** Those that compute keys or signatures, or build a world, are slower. */
const executions: Readonly<Record<string, number>> = {
  handshake: 800,
  hello: 300,
  renewals: 150,
  disk: 150,
  'copies under a passphrase': 500,
  'mesh messages': 1200,
  joining: 1200,
  'signed records': 1200,
  config: 1500,
};

for (const target of targets) {
  test.serial(`no input breaks the promises of: ${target.name}`, (t) => {
    const result = fuzz(target, coverage, { seed: 20261122, executions: executions[target.name] ?? 4000 });
    t.log(describe(result));
    const { failure } = result;
    t.is(failure, undefined, failure && `${failure.error} at ${toHex(failure.input.subarray(0, 300))}`);
    t.true(result.lines.reached > 0.35 * result.lines.total, describe(result));
  });
}
