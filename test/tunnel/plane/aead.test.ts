import test from 'ava';
import fc from 'fast-check';
import { addressOf } from '../../../src/ffi.js';
import { laneKey, NodeAead } from '../../../src/tunnel/plane/aead.js';
import { Arena } from '../../../src/tunnel/plane/arena.js';
import type { Cipher } from '../../../src/tunnel/plane/contract.js';
import { EvpAead } from '../../../src/tunnel/plane/linux-evp.js';
import { writeHeader } from '../../../src/tunnel/plane/transmitter.js';

const at = 4096;
const text = 20_000;

function both(arena: Arena): { evp: EvpAead; node: NodeAead } {
  const evp = EvpAead.tryOpen(arena);
  if (!evp) throw new Error('this node binary exports no EVP functions');
  return { evp, node: new NodeAead(arena) };
}

for (const cipher of ['aes-256-gcm', 'chacha20-poly1305'] as const satisfies Cipher[]) {
  test(`EVP and node:crypto seal alike and open each other's frames, in any order of counters (${cipher})`, (t) => {
    const arena = new Arena(addressOf);
    const { evp, node } = both(arena);
    const key = new Uint8Array(32).fill(9);
    const sealers = [evp.sealing(cipher, key), node.sealing(cipher, key)];
    const openers = [evp.opening(cipher, key), node.opening(cipher, key)];
    const frame = fc.record({
      counter: fc.oneof(fc.nat(3), fc.nat(2 ** 28 - 1)),
      length: fc.oneof(fc.nat(40), fc.nat(1500)),
      flags: fc.nat(7),
      destination: fc.nat(2 ** 24 - 1),
      source: fc.nat(2 ** 24 - 1),
      octet: fc.nat(255),
    });
    // One like the last, or like it but for one thing, and made ready for or not.
    const next = fc.record({
      isPrimed: fc.boolean(),
      differs: fc.constantFrom('length', 'flags', 'destination', 'source', 'all', undefined),
      frame,
    });
    fc.assert(
      fc.property(fc.array(next, { minLength: 1, maxLength: 8 }), (steps) => {
        let last = { length: 0, flags: 0, destination: 0, source: 0 };
        for (const { isPrimed, differs, frame } of steps) {
          if (isPrimed) for (const key of [...sealers, ...openers]) key.prime();
          const changed = differs === 'all' ? frame : differs ? { [differs]: frame[differs] } : {};
          last = { ...last, ...changed };
          const { counter, octet } = frame;
          const { length, flags, destination, source } = last;
          const plain = new Uint8Array(length).fill(octet);
          const results = sealers.map((sealer) => {
            arena.bytes.set(plain, text);
            writeHeader(arena.view, at, 0x10, flags, 77, counter);
            sealer.seal(at, counter, text, length, destination, source);
            return arena.bytes.slice(at, at + 32 + length);
          });
          t.deepEqual(results[0], results[1]);
          for (const opener of openers) {
            arena.bytes.set(results[0]!, at);
            t.true(opener.open(at, length, destination, source));
            t.deepEqual(arena.bytes.slice(at + 16, at + 16 + length), plain);
            arena.bytes.set(results[0]!, at);
            t.false(opener.open(at, length, destination ^ 1, source), 'for another node');
            arena.bytes.set(results[0]!, at);
            arena.bytes[at + 1]! ^= 1;
            t.false(opener.open(at, length, destination, source), 'another flag');
          }
        }
      }),
      { numRuns: 60, seed: 5 },
    );
  });
}

test('headers of relayed frames, which go a quicker way, come out as node:crypto makes them', (t) => {
  const arena = new Arena(addressOf);
  const { evp, node } = both(arena);
  // Steps to and fro around the batches of key stream, and what is no plain relay header in between.
  const frame = fc.record({
    step: fc.oneof(fc.constant(1), fc.integer({ min: -70, max: 130 }), fc.nat(2 ** 28)),
    header: fc.uint8Array({ minLength: 8, maxLength: 8 }),
    type: fc.oneof({ weight: 5, arbitrary: fc.constant(0x12) }, { weight: 1, arbitrary: fc.constant(0x10) }),
    flags: fc.oneof({ weight: 5, arbitrary: fc.constant(0) }, { weight: 1, arbitrary: fc.nat(7) }),
    bit: fc.nat(8 * 32 - 1),
  });
  const cases = fc.tuple(
    fc.uint8Array({ minLength: 32, maxLength: 32 }),
    fc.array(frame, { minLength: 1, maxLength: 40 }),
  );
  fc.assert(
    fc.property(cases, ([key, frames]) => {
      const sealers = [evp.sealing('aes-256-gcm', key), node.sealing('aes-256-gcm', key)];
      const openers = [evp.opening('aes-256-gcm', key), node.opening('aes-256-gcm', key)];
      let counter = 0;
      for (const { step, header, type, flags, bit } of frames) {
        counter = Math.abs(counter + step) % 2 ** 28;
        const results = sealers.map((sealer) => {
          arena.bytes.set(header, text);
          writeHeader(arena.view, at, type, flags, 77, counter);
          sealer.seal(at, counter, text, 8, 0, 0);
          return arena.bytes.slice(at, at + 40);
        });
        t.deepEqual(results[0], results[1]);
        for (const opener of openers) {
          arena.bytes.set(results[0]!, at);
          t.true(opener.open(at, 8, 0, 0));
          t.deepEqual(arena.bytes.slice(at + 16, at + 24), header);
        }
        // Any one bit of counter, header or tag (the receiver index is bound by the key alone).
        const spoilt = results[0]!.slice();
        spoilt[8 + (bit >>> 3)]! ^= 1 << (bit & 7);
        const verdicts = openers.map((opener) => {
          arena.bytes.set(spoilt, at);
          return opener.open(at, 8, 0, 0);
        });
        t.deepEqual(verdicts, [false, false]);
      }
      for (const one of [...sealers, ...openers]) one.wipe();
    }),
    { numRuns: 80, seed: 11 },
  );
});

test('each lane has a key of its own', (t) => {
  const session = new Uint8Array(32).fill(1);
  const keys = [0, 1, 2].map((lane) => Buffer.from(laneKey(session, lane)).toString('hex'));
  t.is(new Set(keys).size, 3);
  t.is(keys[0], Buffer.from(laneKey(new Uint8Array(32).fill(1), 0)).toString('hex'));
});
