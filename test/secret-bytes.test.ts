import test from 'ava';
import { secretBytes, secretCopy, takeSecret, withoutPooled } from '../src/secret-bytes.js';

/**
 * By how much one of these grows what lies outside the JavaScript heap, in octets. What the collector frees meanwhile only
 * lowers it, so of five times the highest counts.
 */
function outside(make: () => Uint8Array): number {
  const count = 1000;
  const once = () => {
    const before = process.memoryUsage().arrayBuffers;
    const kept = Array.from({ length: count }, make);
    return (process.memoryUsage().arrayBuffers - before) / kept.length;
  };
  return Math.max(...Array.from({ length: 5 }, once));
}

test('keys lie outside the JavaScript heap, where a plain array of their length would lie inside', (t) => {
  const key = new Uint8Array(32).fill(7);
  t.true(outside(() => new Uint8Array(32)) < 1);
  t.true(outside(() => secretBytes(32)) > 31);
  t.true(outside(() => secretCopy(key)) > 31);
  t.true(outside(() => takeSecret(new Uint8Array(32))) > 31);
});

test('what is taken is zeroed where it was', (t) => {
  const made = Uint8Array.of(1, 2, 3);
  t.deepEqual(takeSecret(made), Uint8Array.of(1, 2, 3));
  t.deepEqual(made, new Uint8Array(3));
  const kept = Uint8Array.of(4, 5);
  t.deepEqual(secretCopy(kept), kept);
});

/** Like a key it begins nowhere but at its beginning: of equal octets, a stray one before a copy would move what is found. */
function anySecret(): Uint8Array {
  const secret = secretBytes(32);
  for (let i = 0; i < secret.length; i++) secret[i] = 0x80 + i;
  return secret;
}

test('a small Buffer made of a secret meanwhile is zeroed, wherever in their shared memory it lies, and no other', (t) => {
  const secret = anySecret();
  const other = Buffer.from('of somebody else');
  // More than fit into that memory three times.
  for (let i = 0; i < 1000; i++) {
    const made = withoutPooled(secret, () => Buffer.from(secret));
    t.true(made.every((octet) => octet === 0));
  }
  t.is(other.toString(), 'of somebody else');
  t.deepEqual(secret, anySecret());
});

test('and so it is when the making fails', (t) => {
  const secret = anySecret();
  let made: Buffer | undefined;
  const fail = () => {
    made = Buffer.from(secret);
    throw new Error('no key');
  };
  t.throws(() => withoutPooled(secret, fail), { message: 'no key' });
  t.true(made!.every((octet) => octet === 0));
});
