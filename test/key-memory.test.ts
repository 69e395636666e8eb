import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import test from 'ava';
import { until } from '../lab/until.js';
import { AgreementKey } from '../src/crypto.js';
import { systemRandom } from '../src/random.js';
import { second } from '../src/time.js';
import { timesInMemory } from './helpers/memory-search.js';

setFlagsFromString('--expose-gc');
const collect = runInNewContext('gc') as () => void;

test('of a key for one handshake OpenSSL alone has the octets once it was wiped, and clears them when it is collected', async (t) => {
  const random = systemRandom();
  const other = AgreementKey.ephemeral(random).publicKey;
  const copies = Array.from({ length: 8 }, () => {
    const key = AgreementKey.ephemeral(random);
    const copy = key.exportPrivate();
    key.sharedSecret(other)!.fill(0);
    key.wipe();
    return copy;
  });
  const most = () => Math.max(...timesInMemory(copies));
  t.true(most() <= 1, 'some may be collected by now');
  const collected = () => {
    collect();
    return most();
  };
  await until('none is left', collected, (left) => left === 0, 10 * second);
});
