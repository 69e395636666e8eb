import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import test from 'ava';
import { until } from '../lab/until.js';
import { AgreementKey } from '../src/crypto.js';
import { systemRandom } from '../src/random.js';
import { secretCopy } from '../src/secret-bytes.js';
import { minute } from '../src/time.js';
import { EvpX25519, nodeX25519, type X25519Key } from '../src/x25519.js';
import { timesInMemory } from './helpers/memory-search.js';

setFlagsFromString('--expose-gc');
const collect = runInNewContext('gc') as () => void;
const random = systemRandom();
const other = AgreementKey.ephemeral(random).publicKey;

const most = (copies: readonly Uint8Array[]) => Math.max(...timesInMemory(copies));
const mostCollected = (copies: readonly Uint8Array[]) => {
  collect();
  return most(copies);
};

test.serial('of a key nothing is left in memory once it was wiped, nor of what it agreed', (t) => {
  // What a foreign function leaves on its stack the next one may or may not overwrite: so each time is looked at.
  for (let i = 0; i < 12; i++) {
    const key = AgreementKey.ephemeral(random);
    const copy = key.exportPrivate();
    const shared = key.sharedSecret(other)!;
    const agreed = secretCopy(shared);
    shared.fill(0);
    key.wipe();
    t.deepEqual(timesInMemory([copy, agreed]), [0, 0]);
  }
});

test.serial(
  'of a key OpenSSL has the octets, and clears them when it is collected though nobody wiped it',
  async (t) => {
    const evp = EvpX25519.tryOpen()!;
    const copies = Array.from({ length: 8 }, () => random.bytes(32));
    const held: X25519Key[] = copies.map((octets) => evp.make(octets, 'passing'));
    t.deepEqual(timesInMemory(copies), [1, 1, 1, 1, 1, 1, 1, 1]);
    held.length = 0;
    await until(
      'none is left',
      () => mostCollected(copies),
      (left) => left === 0,
      minute,
    );
  },
);

test.serial(
  'without EVP OpenSSL alone has the octets of a wiped key, and clears them when it is collected',
  async (t) => {
    const copies = Array.from({ length: 8 }, () => {
      const octets = random.bytes(32);
      const key = nodeX25519(octets, 'passing');
      key.sharedSecret(other)!.fill(0);
      key.wipe();
      return octets;
    });
    t.true(most(copies) <= 1, 'some may be collected by now');
    await until(
      'none is left',
      () => mostCollected(copies),
      (left) => left === 0,
      minute,
    );
  },
);
