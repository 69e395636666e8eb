import { execFileSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import test from 'ava';
import fc from 'fast-check';
import { toHex, utf8 } from '../src/bytes.js';
import { type Digest, EvpDigest, nodeDigest } from '../src/digest.js';
import { leftOfHashes, leftOfSchedule } from './helpers/left-of-hashes.js';

const evp = EvpDigest.tryOpen();
const all: readonly (readonly [string, Digest])[] = [
  ['node:crypto', nodeDigest],
  ...(evp ? [['EVP', evp] as const] : []),
];

test('this node’s binary has OpenSSL’s functions', (t) => {
  t.truthy(evp);
});

for (const [name, digest] of all) {
  test(`${name} answers FIPS 180-4 and RFC 4231`, (t) => {
    t.is(
      toHex(digest.sha256([utf8('ab'), utf8('c')])),
      'ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad',
    );
    t.is(toHex(digest.sha256([])), 'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855');
    t.is(
      toHex(digest.hmac(utf8('Jefe'), [utf8('what do ya want '), utf8('for nothing?')])),
      '5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843',
    );
    const longKey = new Uint8Array(131).fill(0xaa);
    t.is(
      toHex(digest.hmac(longKey, [utf8('Test Using Larger Than Block-Size Key - Hash Key First')])),
      '60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54',
    );
  });
}

test('both say the same, whatever comes after what', (t) => {
  const key = fc.uint8Array({ maxLength: 70 });
  const part = fc.oneof(fc.uint8Array({ maxLength: 100 }), fc.uint8Array({ minLength: 1100, maxLength: 1400 }));
  fc.assert(
    fc.property(key, fc.array(part, { maxLength: 4 }), (secret, parts) => {
      t.deepEqual(evp!.sha256(parts), nodeDigest.sha256(parts));
      t.deepEqual(evp!.hmac(secret, parts), nodeDigest.hmac(secret, parts));
    }),
    { numRuns: 300 },
  );
  for (let length = 1270; length <= 1290; length++) {
    const message = new Uint8Array(length).fill(length);
    t.deepEqual(evp!.sha256([message]), nodeDigest.sha256([message]), `${length}`);
    t.deepEqual(evp!.hmac(message.subarray(0, 32), [message]), nodeDigest.hmac(message.subarray(0, 32), [message]));
  }
});

test('results are the caller’s: what is hashed next changes none of them', (t) => {
  const first = evp!.sha256([utf8('abc')]);
  const before = toHex(first);
  evp!.sha256([utf8('abd')]);
  evp!.hmac(utf8('key'), [utf8('abc')]);
  t.is(toHex(first), before);
  first.fill(0);
  t.is(toHex(evp!.sha256([utf8('abc')])), before);
});

test('of what was hashed nothing stays in this process’s memory, nor of the result once it was wiped', (t) => {
  t.deepEqual(leftOfHashes(evp!), [0, 0, 0, 0, 0, 0, 0]);
  t.deepEqual(leftOfSchedule(evp!), [0, 0, 0, 0, 0, 0, 0, 0]);
});

// OpenSSL chooses its code by what the processor can do, and each leaves something else on its stack.
const masks = {
  'the SHA extensions': ':~0x20000000',
  'the SHA extensions and AVX2': ':~0x20000020',
  'the SHA extensions, AVX2 and AVX': '~0x1000000000000000:~0x20000020',
  'the SHA extensions, AVX2, AVX and SSSE3': '~0x1000020000000000:~0x20000020',
};
for (const [what, mask] of Object.entries(masks)) {
  test(`nor on a processor without ${what}`, (t) => {
    const child = fileURLToPath(new URL('helpers/digest-child.js', import.meta.url));
    const env = { ...process.env, OPENSSL_ia32cap: mask };
    const left = JSON.parse(execFileSync(process.execPath, [child], { env, encoding: 'utf8' })) as object;
    t.deepEqual(left, { hashes: [0, 0, 0, 0, 0, 0, 0], schedule: [0, 0, 0, 0, 0, 0, 0, 0] });
  });
}
