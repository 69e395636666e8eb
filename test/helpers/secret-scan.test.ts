import { inspect } from 'node:util';
import test from 'ava';
import { toBase32 } from '../../src/base32.js';
import { seededRandom } from '../../src/random.js';
import { secretsIn } from './secret-scan.js';

const random = seededRandom(11);
const octets = random.bytes(32);
const buffer = Buffer.from(octets);
const secrets = [
  { name: 'another', octets: random.bytes(32) },
  { name: 'planted', octets },
];

const leaks: Readonly<Record<string, string>> = {
  hex: buffer.toString('hex'),
  'upper case hex': buffer.toString('hex').toUpperCase(),
  base64: buffer.toString('base64'),
  base64url: buffer.toString('base64url'),
  base32: toBase32(octets),
  octets: buffer.toString('latin1'),
  'a JSON array': JSON.stringify([...octets]),
  'a JSON array on lines of its own': JSON.stringify([...octets], undefined, 2),
  'a JSON object of octets': JSON.stringify(octets),
  'a JSON Buffer': JSON.stringify(buffer),
  'an inspected array': inspect(octets),
  'an inspected Buffer': inspect(buffer),
  'an error with properties': inspect(Object.assign(new Error('on purpose'), { key: octets })),
  'a line of a log': JSON.stringify({ level: 'debug', msg: 'a key', reason: buffer.toString('hex') }),
};

for (const [what, leak] of Object.entries(leaks)) {
  test(`a planted secret is found: ${what}`, (t) => {
    t.deepEqual(secretsIn(`before ${leak} after\n`, secrets), ['planted']);
  });
}

test('what is no secret is not taken for one', (t) => {
  const text = Array.from({ length: 200 }, () => Buffer.from(random.bytes(32)).toString('hex')).join('\n');
  t.deepEqual(secretsIn(text, secrets), []);
});

test('a secret too short to tell is refused', (t) => {
  t.throws(() => secretsIn('', [{ name: 'short', octets: octets.subarray(0, 4) }]), { message: /only 4 octets/ });
});
