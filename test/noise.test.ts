import { readFileSync } from 'node:fs';
import test from 'ava';
import { fromHex, toHex, utf8 } from '../src/bytes.js';
import { AgreementKey, aeadOpen, aeadSeal } from '../src/crypto.js';
import {
  NoiseInitiator,
  type NoisePattern,
  NoiseResponder,
  noiseInitiationOverhead,
  noiseResponseOverhead,
} from '../src/noise.js';
import { seededRandom } from '../src/random.js';
import { secretBytes } from '../src/secret-bytes.js';
import { SecretsMade } from './helpers/secrets-made.js';

interface Vector {
  readonly protocol_name: string;
  readonly init_prologue: string;
  readonly init_psks?: readonly string[];
  readonly init_static: string;
  readonly init_ephemeral: string;
  readonly resp_static: string;
  readonly resp_ephemeral: string;
  readonly handshake_hash: string;
  readonly messages: readonly { readonly payload: string; readonly ciphertext: string }[];
}

const { vectors } = JSON.parse(readFileSync('test/vectors/noise.json', 'utf8')) as { vectors: readonly Vector[] };
const hex = (text: string) => fromHex(text)!;
const keyOf = (text: string) => new AgreementKey(hex(text));

/** Nonce of a Noise transport message: 4 zero octets, then the counter, little-endian (§12.3). */
function nonce(counter: number): Uint8Array {
  const bytes = new Uint8Array(12);
  bytes[4] = counter;
  return bytes;
}

for (const vector of vectors) {
  const pattern = /^Noise_(IK|IKpsk2)_25519/.exec(vector.protocol_name)![1] as NoisePattern;

  test(`published vector: ${vector.protocol_name}`, (t) => {
    const psk = vector.init_psks ? hex(vector.init_psks[0]!) : undefined;
    const own = keyOf(vector.resp_static);
    const prologue = hex(vector.init_prologue);
    const [first, second, ...transport] = vector.messages;

    const initiator = new NoiseInitiator(
      pattern,
      prologue,
      keyOf(vector.init_static),
      keyOf(vector.init_ephemeral),
      own.publicKey,
    );
    const responder = new NoiseResponder(pattern, prologue, own);
    const initiation = initiator.writeInitiation(hex(first!.payload))!;
    t.is(toHex(initiation), first!.ciphertext);
    const read = responder.readInitiation(initiation)!;
    t.is(toHex(read.payload), first!.payload);
    t.deepEqual(read.remotePublicKey, keyOf(vector.init_static).publicKey);
    const response = responder.writeResponse(hex(second!.payload), keyOf(vector.resp_ephemeral), psk)!;
    t.is(toHex(response), second!.ciphertext);
    t.is(toHex(initiator.readResponse(response, psk)!), second!.payload);
    t.is(toHex(initiator.handshakeHash), vector.handshake_hash);
    t.is(toHex(responder.handshakeHash), vector.handshake_hash);

    const [fromInitiator, fromResponder] = [new Uint8Array(32), new Uint8Array(32)];
    const [there, back] = [new Uint8Array(32), new Uint8Array(32)];
    initiator.split(fromInitiator, fromResponder);
    responder.split(there, back);
    t.deepEqual([back, there], [fromInitiator, fromResponder]);
    transport.forEach(({ payload, ciphertext }, i) => {
      const key = i % 2 === 0 ? fromInitiator : fromResponder;
      const at = nonce(i >> 1);
      t.is(toHex(aeadSeal('chacha20-poly1305', key, at, hex(payload))), ciphertext);
      t.is(toHex(aeadOpen('chacha20-poly1305', key, at, hex(ciphertext))!), payload);
    });
  });
}

function pair(pattern: NoisePattern, seed = 1, prologues = [utf8('weft'), utf8('weft')]) {
  const random = seededRandom(seed);
  const key = () => new AgreementKey(random.bytes(32));
  const [alice, bob] = [key(), key()];
  return {
    key,
    initiator: new NoiseInitiator(pattern, prologues[0]!, alice, key(), bob.publicKey),
    responder: new NoiseResponder(pattern, prologues[1]!, bob),
  };
}

test('an initiation changed at any octet, or cut, is not read', (t) => {
  const initiation = pair('IK').initiator.writeInitiation(utf8('hello'))!;
  t.is(initiation.length, noiseInitiationOverhead + 5);
  for (let at = 0; at < initiation.length; at++) {
    // The top bit of an X25519 key is masked in the product, yet the hash covers it, so it counts too.
    const changed = new Uint8Array(initiation);
    changed[at]! ^= at === 31 ? 0x80 : 0x01;
    t.is(pair('IK').responder.readInitiation(changed), undefined, `octet ${at}`);
    t.is(pair('IK').responder.readInitiation(initiation.subarray(0, at)), undefined, `length ${at}`);
  }
  t.truthy(pair('IK').responder.readInitiation(initiation));
});

test('forged responses change nothing: the true one still opens', (t) => {
  const { initiator, responder, key } = pair('IK');
  responder.readInitiation(initiator.writeInitiation(utf8('hello'))!);
  const response = responder.writeResponse(utf8('welcome'), key())!;
  t.is(response.length, noiseResponseOverhead + 7);
  for (let at = 0; at < response.length; at++) {
    const changed = new Uint8Array(response);
    changed[at]! ^= 0x01;
    t.is(initiator.readResponse(changed), undefined, `octet ${at}`);
    t.is(initiator.readResponse(response.subarray(0, at)), undefined, `length ${at}`);
  }
  t.deepEqual(initiator.readResponse(response), utf8('welcome'));
});

test('small-order public keys are refused on either side', (t) => {
  const zero = new Uint8Array(32);
  const { key } = pair('IK', 2);
  t.is(new NoiseInitiator('IK', zero, key(), key(), zero).writeInitiation(zero), undefined);

  const small = { publicKey: zero, sharedSecret: () => new Uint8Array(32).fill(1) };
  const own = key();
  const initiation = new NoiseInitiator('IK', zero, key(), small, own.publicKey).writeInitiation(zero)!;
  t.is(new NoiseResponder('IK', zero, own).readInitiation(initiation), undefined);
});

test('another prologue, another pattern or another secret does not meet', (t) => {
  const other = pair('IK', 3, [utf8('weft 1'), utf8('weft 2')]);
  t.is(other.responder.readInitiation(other.initiator.writeInitiation(utf8(''))!), undefined);

  const plain = pair('IK', 4);
  t.is(pair('IKpsk2', 4).responder.readInitiation(plain.initiator.writeInitiation(utf8(''))!), undefined);

  const joining = pair('IKpsk2', 5);
  t.truthy(joining.responder.readInitiation(joining.initiator.writeInitiation(utf8('token 7'))!));
  const response = joining.responder.writeResponse(utf8(''), joining.key(), new Uint8Array(32).fill(1))!;
  t.is(joining.initiator.readResponse(response, new Uint8Array(32).fill(2)), undefined);
  t.deepEqual(joining.initiator.readResponse(response, new Uint8Array(32).fill(1)), utf8(''));
});

for (const pattern of ['IK', 'IKpsk2'] as const) {
  test(`of a handshake, however it ends, no secret is left in memory but the keys it was for (${pattern})`, (t) => {
    const random = seededRandom(6);
    const [alice, bob] = [new AgreementKey(random.bytes(32)), new AgreementKey(random.bytes(32))];
    const psk = pattern === 'IKpsk2' ? new Uint8Array(32).fill(3) : undefined;
    const prologue = utf8('weft');
    const keys = Array.from({ length: 4 }, () => secretBytes(32));
    const initiate = (ephemeral: AgreementKey) =>
      new NoiseInitiator(pattern, prologue, alice, ephemeral, bob.publicKey);

    const whole = new SecretsMade();
    let held = 0;
    whole.during(() => {
      const [first, second] = [AgreementKey.ephemeral(random), AgreementKey.ephemeral(random)];
      const initiator = initiate(first);
      const responder = new NoiseResponder(pattern, prologue, bob);
      responder.readInitiation(initiator.writeInitiation(utf8('hello'))!);
      const response = responder.writeResponse(utf8('welcome'), second, psk)!;
      const forged = response.slice();
      forged[40]! ^= 1;
      initiator.readResponse(forged, psk);
      initiator.readResponse(response, psk);
      initiator.split(keys[0]!, keys[1]!);
      responder.split(keys[2]!, keys[3]!);
      held = whole.left().length;
      for (const secret of [initiator, responder, first, second]) secret.wipe();
    });
    t.deepEqual([keys[3], keys[2]], [keys[0], keys[1]]);
    t.true(whole.values.has(toHex(keys[0]!)), 'the keys themselves were among what was watched');
    t.true(whole.values.size > 15);
    t.is(held, 8, 'hash, chaining key and key of either side, and two ephemeral keys');
    t.deepEqual(whole.left(), []);
    t.deepEqual([whole.leaks, whole.onHeap()], [[], []]);

    const ended = new SecretsMade();
    ended.during(() => {
      const ephemeral = AgreementKey.ephemeral(random);
      const initiator = initiate(ephemeral);
      const initiation = initiator.writeInitiation(utf8('hello'))!;
      initiation[50]! ^= 1;
      const responder = new NoiseResponder(pattern, prologue, bob);
      responder.readInitiation(initiation);
      for (const secret of [initiator, responder, ephemeral]) secret.wipe();
    });
    t.true(ended.values.size > 5);
    t.deepEqual(ended.left(), []);
    t.deepEqual([ended.leaks, ended.onHeap()], [[], []]);
  });
}
