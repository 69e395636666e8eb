import { spawnSync } from 'node:child_process';
import test from 'ava';
import fc from 'fast-check';
import nacl from 'tweetnacl';
import { concatBytes, fromHex, toHex, utf8 } from '../src/bytes.js';
import {
  AgreementKey,
  aeadOpen,
  aeadSeal,
  hmacSha256,
  isAgreementPublicKey,
  isSigningPublicKey,
  SigningKey,
  sha256,
  signed,
  VerifyingKey,
  verify,
} from '../src/crypto.js';
import { appendMacs, checkMac1, mac1Key, withoutMacs } from '../src/datagram-mac.js';
import { openWithPassphrase, sealWithPassphrase } from '../src/passphrase.js';
import { seededRandom } from '../src/random.js';

const hex = (text: string) => fromHex(text.replace(/\s/g, ''))!;
const octets32 = fc.uint8Array({ minLength: 32, maxLength: 32 });
const groupOrder = 2n ** 252n + 27742317777372353535851937790883648493n;

function littleEndianNumber(octets: Uint8Array): bigint {
  return BigInt(`0x${toHex(octets.slice().reverse())}`);
}

function littleEndianOctets(number: bigint): Uint8Array {
  return hex(number.toString(16).padStart(64, '0')).reverse();
}

test('X25519 answers RFC 7748 §6.1', (t) => {
  const alice = new AgreementKey(hex('77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a'));
  const bob = hex('de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f');
  t.is(toHex(alice.publicKey), '8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a');
  t.is(toHex(alice.sharedSecret(bob)!), '4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742');
});

test('Ed25519 answers RFC 8032 §7.1, test 1', (t) => {
  const key = new SigningKey(hex('9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60'));
  t.is(toHex(key.publicKey), 'd75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a');
  t.is(
    toHex(key.sign(new Uint8Array(0))),
    'e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b',
  );
});

test('HMAC answers RFC 4231 §4.3', (t) => {
  t.is(
    toHex(hmacSha256(utf8('Jefe'), utf8('what do ya want '), utf8('for nothing?'))),
    '5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843',
  );
});

test('the AEADs answer RFC 8439 §2.8.2 and the GCM specification, test case 14', (t) => {
  const text =
    "Ladies and Gentlemen of the class of '99: If I could offer you only one tip for the future, sunscreen would be it.";
  const key = Uint8Array.from({ length: 32 }, (_, i) => 0x80 + i);
  const nonce = hex('070000004041424344454647');
  const sealed = aeadSeal('chacha20-poly1305', key, nonce, utf8(text), hex('50515253c0c1c2c3c4c5c6c7'));
  t.is(toHex(sealed.subarray(0, 16)), 'd31a8d34648e60db7b86afbc53ef7ec2');
  t.is(toHex(sealed.subarray(-16)), '1ae10b594f09e26a7e902ecbd0600691');
  const zeros = aeadSeal('aes-256-gcm', new Uint8Array(32), new Uint8Array(12), new Uint8Array(16));
  t.is(toHex(zeros), 'cea7403d4d606b6e074ec5d3baf39d18d0d1c8a799996bf0265b98b5d48ab919');
});

test('an AEAD opens what was sealed and nothing with a bit changed', (t) => {
  for (const name of ['chacha20-poly1305', 'aes-256-gcm'] as const) {
    const key = sha256(utf8(name));
    const nonce = new Uint8Array(12);
    const additional = utf8('header');
    const sealed = aeadSeal(name, key, nonce, utf8('body'), additional);
    t.deepEqual(aeadOpen(name, key, nonce, sealed, additional), utf8('body'));
    for (let bit = 0; bit < sealed.length * 8; bit++) {
      const changed = sealed.slice();
      changed[bit >> 3]! ^= 1 << (bit & 7);
      t.is(aeadOpen(name, key, nonce, changed, additional), undefined);
    }
    for (let length = 0; length < sealed.length; length++) {
      t.is(aeadOpen(name, key, nonce, sealed.subarray(0, length), additional), undefined);
    }
    t.is(aeadOpen(name, key, nonce, sealed, utf8('Header')), undefined);
  }
});

test('X25519 agrees with tweetnacl', (t) => {
  fc.assert(
    fc.property(octets32, octets32, (a, b) => {
      const key = new AgreementKey(a);
      const other = nacl.box.keyPair.fromSecretKey(b).publicKey;
      t.deepEqual(key.publicKey, nacl.box.keyPair.fromSecretKey(a).publicKey);
      t.deepEqual(key.sharedSecret(other), nacl.scalarMult(a, other));
    }),
    { numRuns: 40 },
  );
});

test('Ed25519 agrees with tweetnacl', (t) => {
  fc.assert(
    fc.property(octets32, fc.uint8Array({ maxLength: 200 }), (seed, message) => {
      const key = new SigningKey(seed);
      const reference = nacl.sign.keyPair.fromSeed(seed);
      const signature = key.sign(message);
      t.deepEqual(key.publicKey, reference.publicKey);
      t.deepEqual(signature, nacl.sign.detached(message, reference.secretKey));
      t.true(verify(key.publicKey, message, signature));
      t.false(verify(key.publicKey, concatBytes(message, Uint8Array.of(0)), signature));
    }),
    { numRuns: 15 },
  );
});

test('made keys are those of their exported octets', (t) => {
  const agreement = AgreementKey.make(seededRandom(1));
  t.deepEqual(new AgreementKey(agreement.exportPrivate()).publicKey, agreement.publicKey);
  const signing = SigningKey.make(seededRandom(1));
  t.deepEqual(new SigningKey(signing.exportPrivate()).publicKey, signing.publicKey);
  t.notDeepEqual(AgreementKey.make(seededRandom(2)).publicKey, agreement.publicKey);
});

test('a wiped key serves nobody', (t) => {
  const agreement = AgreementKey.make(seededRandom(1));
  const other = AgreementKey.make(seededRandom(2)).publicKey;
  const signing = SigningKey.make(seededRandom(1));
  agreement.wipe();
  signing.wipe();
  t.throws(() => agreement.sharedSecret(other), { message: 'key used after wipe' });
  t.throws(() => agreement.exportPrivate(), { message: 'key used after wipe' });
  t.throws(() => signing.sign(other), { message: 'key used after wipe' });
});

test('keys do not print their private half', (t) => {
  const key = new AgreementKey(new Uint8Array(32).fill(7));
  t.notRegex(JSON.stringify({ key, signing: new SigningKey(new Uint8Array(32).fill(7)) }), /7,|07/);
});

// RFC 7748 §7 and the order-8 points; tweetnacl is the oracle that they give zero.
const smallOrderU = [
  '00'.repeat(32),
  `01${'00'.repeat(31)}`,
  'e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800',
  '5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157',
  `ec${'ff'.repeat(30)}7f`,
];

test('small-order X25519 keys give no shared secret and are no certificate keys', (t) => {
  const key = AgreementKey.make(seededRandom(3));
  for (const text of smallOrderU) {
    t.true(nacl.scalarMult(key.exportPrivate(), hex(text)).every((octet) => octet === 0));
    t.is(key.sharedSecret(hex(text)), undefined);
    t.false(isAgreementPublicKey(hex(text)));
  }
  t.true(isAgreementPublicKey(key.publicKey));
});

test('non-canonical X25519 keys are no certificate keys', (t) => {
  t.false(isAgreementPublicKey(littleEndianOctets(2n ** 255n - 19n)));
  t.false(isAgreementPublicKey(littleEndianOctets(2n ** 255n - 10n)));
  const highBit = AgreementKey.make(seededRandom(3)).publicKey.slice();
  highBit[31]! |= 0x80;
  t.false(isAgreementPublicKey(highBit));
  t.false(isAgreementPublicKey(new Uint8Array(31)));
  t.is(AgreementKey.make(seededRandom(3)).sharedSecret(new Uint8Array(31)), undefined);
});

test('small-order and non-canonical Ed25519 keys verify nothing', (t) => {
  const smallOrderY = [
    '00'.repeat(32),
    `01${'00'.repeat(31)}`,
    `ec${'ff'.repeat(30)}7f`,
    '26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05',
    'c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a',
  ];
  for (const text of smallOrderY) {
    for (const sign of [0, 0x80]) {
      const key = hex(text);
      key[31]! |= sign;
      t.is(VerifyingKey.from(key), undefined);
      // R = A, S = 0 verifies under a small-order key for some messages in a lax implementation.
      t.false(verify(key, utf8('any'), concatBytes(key, new Uint8Array(32))));
    }
  }
  t.is(VerifyingKey.from(littleEndianOctets(2n ** 255n - 19n + 3n)), undefined);
  t.is(VerifyingKey.from(new Uint8Array(33)), undefined);
  t.true(isSigningPublicKey(SigningKey.make(seededRandom(1)).publicKey));
});

test('octets that are no point verify nothing and throw nothing', (t) => {
  for (let y = 2n; y < 40n; y++) {
    t.false(verify(littleEndianOctets(y), utf8('any'), new Uint8Array(64).fill(3)));
  }
});

test('a signature with S beyond the group order, or a small-order R, is refused', (t) => {
  const key = SigningKey.make(seededRandom(5));
  const signature = key.sign(utf8('message'));
  const stretched = signature.slice();
  stretched.set(littleEndianOctets(littleEndianNumber(signature.subarray(32)) + groupOrder), 32);
  t.true(verify(key.publicKey, utf8('message'), signature));
  t.false(verify(key.publicKey, utf8('message'), stretched));
  const smallR = signature.slice();
  smallR.set(hex(`01${'00'.repeat(31)}`));
  t.false(verify(key.publicKey, utf8('message'), smallR));
  t.false(verify(key.publicKey, utf8('message'), signature.subarray(0, 63)));
});

test('a signature of one kind or network is none of another', (t) => {
  const key = SigningKey.make(seededRandom(6));
  const network = sha256(utf8('network'));
  const signature = key.sign(signed('weft node certificate', network, utf8('octets')));
  t.true(verify(key.publicKey, signed('weft node certificate', network, utf8('octets')), signature));
  t.false(verify(key.publicKey, signed('weft issuer certificate', network, utf8('octets')), signature));
  t.false(verify(key.publicKey, signed('weft node certificate', sha256(network), utf8('octets')), signature));
  t.throws(() => signed('weft origin', new Uint8Array(31), utf8('octets')), { instanceOf: RangeError });
});

test('the macs of a datagram tell who may speak to whom', (t) => {
  const [mine, other] = [seededRandom(1), seededRandom(2)].map((random) => AgreementKey.make(random).publicKey);
  const cookie = new Uint8Array(16).fill(9);
  const datagram = appendMacs(mine!, utf8('body'), cookie);
  t.is(datagram.length, 4 + 32);
  t.true(checkMac1(mac1Key(mine!), datagram));
  t.false(checkMac1(mac1Key(other!), datagram));
  t.deepEqual(datagram.slice(-16), hmacSha256(cookie, datagram.subarray(0, -16)).slice(0, 16));
  t.true(
    appendMacs(mine!, utf8('body'))
      .subarray(-16)
      .every((octet) => octet === 0),
  );
  t.deepEqual(withoutMacs(datagram), utf8('body'));
  for (let length = 0; length < 32; length++) t.false(checkMac1(mac1Key(mine!), datagram.subarray(0, length)));
});

test('a passphrase opens what it sealed, a wrong one or a changed file opens nothing', (t) => {
  const sealed = sealWithPassphrase(seededRandom(1), 'correct horse', utf8('network key'));
  t.deepEqual(openWithPassphrase('correct horse', sealed), utf8('network key'));
  t.is(openWithPassphrase('wrong horse', sealed), undefined);
  const changed = sealed.slice();
  changed[sealed.length - 1]! ^= 1;
  t.is(openWithPassphrase('correct horse', changed), undefined);
  t.is(openWithPassphrase('correct horse', sealed.subarray(0, 20)), undefined);
});

test('a file that names a cost of its own takes neither the machine nor the opener down', (t) => {
  const sealed = sealWithPassphrase(seededRandom(1), 'correct horse', utf8('network key'), 1);
  t.deepEqual(openWithPassphrase('correct horse', sealed), utf8('network key'));
  for (const cost of [0, 2, 18, 31, 255]) {
    const changed = sealed.slice();
    changed[5] = cost;
    t.is(openWithPassphrase('correct horse', changed), undefined, `cost ${cost}`);
  }
});

test('tweetnacl is loaded when a long-lived key is made, and not before', (t) => {
  const program = `
    const { createRequire } = await import('node:module');
    const { AgreementKey } = await import('${new URL('../src/crypto.js', import.meta.url)}');
    const { systemRandom } = await import('${new URL('../src/random.js', import.meta.url)}');
    const isLoaded = () => Object.keys(createRequire('/').cache).some((file) => file.includes('/tweetnacl/'));
    AgreementKey.ephemeral(systemRandom());
    console.log(isLoaded());
    AgreementKey.make(systemRandom());
    console.log(isLoaded());`;
  const { stdout } = spawnSync(process.execPath, ['--input-type=module', '-e', program], { encoding: 'utf8' });
  t.is(stdout, 'false\ntrue\n');
});
