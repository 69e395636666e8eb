import test from 'ava';
import fc from 'fast-check';
import { parseIp } from '../../../src/addr/ip.js';
import { Prefix, parsePrefix } from '../../../src/addr/prefix.js';
import { seededRandom } from '../../../src/random.js';
import { ForwardingTable, noPrefix, ownPrefix } from '../../../src/tunnel/plane/forwarding-table.js';
import { AddressWords } from '../../../src/tunnel/plane/packet.js';

function words(bytes: Uint8Array): AddressWords {
  const address = new AddressWords();
  address.read(new DataView(bytes.buffer, bytes.byteOffset, 16), 0);
  return address;
}

function prefix(text: string): { prefix: Uint8Array; length: number } {
  const parsed = parsePrefix(text)!;
  return { prefix: parsed.bytes, length: parsed.length };
}

/** The slow oracle: a list, searched whole. */
class Oracle {
  readonly #routes = new Map<string, { prefix: Prefix; egress: number }>();

  set(key: Prefix, egress: number): void {
    this.#routes.set(key.key, { prefix: key, egress });
  }

  remove(key: Prefix): void {
    this.#routes.delete(key.key);
  }

  lookup(address: Uint8Array): number {
    let best: { prefix: Prefix; egress: number } | undefined;
    for (const route of this.#routes.values()) {
      if (route.prefix.contains(address) && route.prefix.length >= (best?.prefix.length ?? 0)) best = route;
    }
    return best?.egress ?? noPrefix;
  }
}

/** Addresses that share long beginnings, so that prefixes nest. */
const address = fc.array(fc.constantFrom(0, 1, 0x80, 0xff), { minLength: 16, maxLength: 16 }).map((octets) => {
  const bytes = Uint8Array.from(octets);
  bytes[0] = 0xfd;
  return bytes;
});
const change = fc.record({
  address,
  length: fc.oneof(
    fc.constantFrom(0, 1, 31, 32, 33, 63, 64, 65, 95, 96, 97, 127, 128),
    fc.integer({ min: 0, max: 128 }),
  ),
  egress: fc.nat(5),
  remove: fc.boolean(),
});

test('the longest prefix wins, as in the slow oracle, through every change', (t) => {
  fc.assert(
    fc.property(
      fc.array(change, { maxLength: 120 }),
      fc.array(address, { minLength: 5, maxLength: 30 }),
      (changes, asked) => {
        const table = new ForwardingTable();
        const oracle = new Oracle();
        for (const { address: bytes, length, egress, remove } of changes) {
          const key = new Prefix(bytes, length);
          if (remove) {
            table.removePrefix(key.bytes, key.length);
            oracle.remove(key);
          } else {
            table.setPrefix({ prefix: key.bytes, length: key.length, egress: egress === 0 ? undefined : egress });
            oracle.set(key, egress === 0 ? ownPrefix : egress);
          }
        }
        const everywhere = [...asked, ...changes.map((one) => one.address)];
        return everywhere.every((bytes) => table.lookup(words(bytes)) === oracle.lookup(bytes));
      },
    ),
    { numRuns: 400, seed: 2 },
  );
  t.pass();
});

test('IPv4 prefixes are longer IPv6 ones', (t) => {
  const table = new ForwardingTable();
  table.setPrefix({ ...prefix('10.0.0.0/8'), egress: 4 });
  table.setPrefix({ ...prefix('10.1.0.0/16'), egress: 5 });
  t.is(table.lookup(words(parseIp('10.2.3.4')!)), 4);
  t.is(table.lookup(words(parseIp('10.1.3.4')!)), 5);
  t.is(table.lookup(words(parseIp('11.1.3.4')!)), noPrefix);
});

test('a table that lost most of its prefixes still answers right, and small', (t) => {
  const table = new ForwardingTable();
  for (let i = 0; i < 2000; i++)
    table.setPrefix({
      prefix: Uint8Array.of(0xfd, i >> 8, i, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0),
      length: 24,
      egress: i + 1,
    });
  for (let i = 0; i < 1990; i++)
    table.removePrefix(Uint8Array.of(0xfd, i >> 8, i, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0), 24);
  t.is(table.prefixes, 10);
  t.is(table.lookup(words(parseIp('fd07:cf00::1')!)), 2000);
  t.is(table.lookup(words(parseIp('fd00:0100::1')!)), noPrefix);
});

test('a large table, with its jump table, answers as the slow oracle, before and after changes', (t) => {
  const random = seededRandom(7);
  const table = new ForwardingTable();
  const oracle = new Oracle();
  const keys: Prefix[] = [];
  const draw = () => {
    const bytes = random.bytes(16);
    bytes[0] = 0xfd;
    if (random.below(4) > 0) bytes.fill(0x77, 1, 3);
    bytes.fill(random.below(2) * 255, 8);
    return bytes;
  };
  const set = (key: Prefix, egress: number) => {
    table.setPrefix({ prefix: key.bytes, length: key.length, egress });
    oracle.set(key, egress);
    keys.push(key);
  };
  set(new Prefix(new Uint8Array(16), 0), 1);
  for (let i = 0; i < 6000; i++) set(new Prefix(draw(), 20 + random.below(60)), 2 + random.below(100));
  const check = () => {
    for (let i = 0; i < 150; i++) {
      const bytes = i % 3 === 0 ? draw() : new Uint8Array(keys[random.below(keys.length)]!.bytes);
      bytes[15] = random.below(256);
      t.is(table.lookup(words(bytes)), oracle.lookup(bytes));
    }
  };
  check();
  for (let i = 0; i < 300; i++) {
    const key = keys[random.below(keys.length)]!;
    table.removePrefix(key.bytes, key.length);
    oracle.remove(key);
  }
  check();
});

test('next hops are at most three, and an empty list takes the node away', (t) => {
  const table = new ForwardingTable();
  table.patchNodes([{ node: 7, hops: [1, 2, 3, 4] }]);
  t.deepEqual(table.hops(7), [1, 2, 3]);
  table.patchNodes([{ node: 7, hops: [] }]);
  t.is(table.hops(7), undefined);
});
