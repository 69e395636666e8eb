import { generateKeyPairSync, sign, verify } from 'node:crypto';
import test from 'ava';
import fc from 'fast-check';
import nacl from 'tweetnacl';
import { fromHex, toHex } from '../src/bytes.js';
import { foreign } from '../src/ffi.js';
import { EvpX25519, type MakeX25519Key, nodeX25519 } from '../src/x25519.js';

const hex = (text: string) => fromHex(text)!;
const octets32 = fc.uint8Array({ minLength: 32, maxLength: 32 });
const evp = EvpX25519.tryOpen();
const all: readonly (readonly [string, MakeX25519Key])[] = [
  ['node:crypto', nodeX25519],
  ...(evp ? [['EVP', evp.make] as const] : []),
];
/** All that a public key of small order may look like on the wire: with and without the top bit, reduced and not (RFC 7748 §7). */
const smallOrders = [
  '00'.repeat(32),
  `01${'00'.repeat(31)}`,
  'e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800',
  '5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157',
  `ec${'ff'.repeat(30)}7f`,
  `ed${'ff'.repeat(30)}7f`,
  `ee${'ff'.repeat(30)}7f`,
];

test('this node’s binary has OpenSSL’s functions', (t) => {
  t.truthy(evp);
});

for (const [name, make] of all) {
  for (const use of ['kept', 'passing'] as const) {
    test(`${name}, ${use}, answers RFC 7748 §6.1`, (t) => {
      const alice = make(hex('77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a'), use);
      const bob = make(hex('5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb'), use);
      t.is(toHex(alice.publicKey), '8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a');
      t.is(toHex(bob.publicKey), 'de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f');
      const shared = '4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742';
      t.is(toHex(alice.sharedSecret(bob.publicKey)!), shared);
      t.is(toHex(bob.sharedSecret(alice.publicKey)!), shared);
    });
  }

  test(`${name} agrees with tweetnacl on keys of all forms`, (t) => {
    fc.assert(
      fc.property(octets32, octets32, (secret, other) => {
        const key = make(secret, 'passing');
        t.deepEqual(key.publicKey, nacl.box.keyPair.fromSecretKey(secret).publicKey);
        t.deepEqual(key.sharedSecret(other), nacl.scalarMult(secret, other));
        key.wipe();
      }),
      { numRuns: 40 },
    );
  });

  test(`${name} refuses small orders, and what is asked next is answered`, (t) => {
    const key = make(new Uint8Array(32).fill(7), 'passing');
    const other = nacl.box.keyPair.fromSecretKey(new Uint8Array(32).fill(8)).publicKey;
    const before = key.sharedSecret(other);
    const signing = generateKeyPairSync('ed25519');
    for (const small of smallOrders) {
      const masked = hex(small);
      masked[31]! |= 0x80;
      for (const octets of [hex(small), masked]) {
        t.is(key.sharedSecret(octets), undefined, small);
        t.deepEqual(key.sharedSecret(other), before);
        t.true(verify(null, octets, signing.publicKey, sign(null, octets, signing.privateKey)));
      }
    }
  });

  test(`${name} keeps none of its caller’s octets, nor of what it gave`, (t) => {
    const secret = new Uint8Array(32).fill(9);
    const key = make(secret, 'passing');
    secret.fill(0);
    const other = nacl.box.keyPair.fromSecretKey(new Uint8Array(32).fill(8)).publicKey;
    const shared = key.sharedSecret(other)!;
    t.deepEqual(shared, nacl.scalarMult(new Uint8Array(32).fill(9), other));
    const publicKey = toHex(key.publicKey);
    make(new Uint8Array(32).fill(3), 'passing');
    t.is(toHex(key.publicKey), publicKey);
    const again = key.sharedSecret(other);
    shared.fill(0);
    t.deepEqual(key.sharedSecret(other), again);
  });
}

test('no error of OpenSSL’s is left for others to find', (t) => {
  const key = evp!.make(new Uint8Array(32).fill(7), 'passing');
  t.is(key.sharedSecret(new Uint8Array(32)), undefined);
  t.is(foreign('uint64_t ERR_peek_error()')(), 0);
});
