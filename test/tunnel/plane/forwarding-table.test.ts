import test from 'ava';
import fc from 'fast-check';
import { isIpv4Bytes, parseIp } from '../../../src/addr/ip.js';
import { Prefix, parsePrefix } from '../../../src/addr/prefix.js';
import { seededRandom } from '../../../src/random.js';
import { ForwardingTable, ownPrefix } from '../../../src/tunnel/plane/forwarding-table.js';
import { AddressWords } from '../../../src/tunnel/plane/packet.js';
import { noPrefix } from '../../../src/tunnel/plane/prefix-trie.js';

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
    const isIpv4 = isIpv4Bytes(address);
    for (const route of this.#routes.values()) {
      if (route.prefix.isIpv4 !== isIpv4) continue;
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

test('an IPv4 address goes by IPv4 prefixes alone, though ::/0 holds it as it is written', (t) => {
  const table = new ForwardingTable();
  table.setPrefix({ ...prefix('10.0.0.0/8'), egress: 4 });
  table.setPrefix({ ...prefix('10.1.0.0/16'), egress: 5 });
  t.is(table.lookup(words(parseIp('10.2.3.4')!)), 4);
  t.is(table.lookup(words(parseIp('10.1.3.4')!)), 5);
  for (const text of ['::/0', '::/64', '::fffe:0:0/95']) table.setPrefix({ ...prefix(text), egress: 7 });
  t.is(table.lookup(words(parseIp('11.1.3.4')!)), noPrefix);
  t.is(table.lookup(words(parseIp('10.1.3.4')!)), 5);
  t.is(table.lookup(words(parseIp('::1')!)), 7);
  table.setPrefix({ ...prefix('0.0.0.0/0'), egress: 8 });
  t.is(table.lookup(words(parseIp('11.1.3.4')!)), 8);
  t.is(table.lookup(words(parseIp('2001:db8::1')!)), 7);
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

test('a large table answers as the slow oracle while prefixes come, change and go between lookups', (t) => {
  for (let seed = 1; seed <= 12; seed++) {
    const random = seededRandom(seed);
    const table = new ForwardingTable();
    const oracle = new Oracle();
    const keys: Prefix[] = [];
    // Most of it under one beginning, in one network or densely in IPv4 too; some anywhere, and nested as deep as it
    // goes.
    const draw = () => {
      const bytes = random.bytes(16);
      const kind = random.below(10);
      if (kind < 3 && seed % 2 === 0) bytes.set(parseIp('10.0.0.0')!.subarray(0, 13));
      else if (kind < 9) bytes.set([0xfd, 0x77, 0x77, 0x70 + (seed % 4)]);
      if (random.below(3) === 0) bytes.fill(random.below(2) * 255, 4 + random.below(8), 13);
      return bytes;
    };
    const isIpv4 = (bytes: Uint8Array) => bytes[0] === 0 && bytes[10] === 0xff;
    const change = () => {
      const known = keys.length > 0 && random.below(4) === 0 ? keys[random.below(keys.length)]! : undefined;
      const bytes = known && random.below(2) === 0 ? known.bytes : draw();
      const deepest = random.below(8) === 0 ? 128 : 64;
      const length = isIpv4(bytes)
        ? 96 + random.below(33)
        : random.below(40) === 0
          ? random.below(33)
          : 28 + random.below(deepest - 27);
      const key = known && random.below(2) === 0 ? known : new Prefix(bytes, length);
      const egress = random.below(12);
      table.setPrefix({ prefix: key.bytes, length: key.length, egress: egress === 0 ? undefined : egress });
      oracle.set(key, egress === 0 ? ownPrefix : egress);
      keys.push(key);
    };
    const forget = () => {
      const at = random.below(keys.length);
      const key = keys[at]!;
      keys[at] = keys.at(-1)!;
      keys.pop();
      table.removePrefix(key.bytes, key.length);
      oracle.remove(key);
    };
    const ask = () => {
      const bytes =
        keys.length === 0 || random.below(3) === 0 ? draw() : new Uint8Array(keys[random.below(keys.length)]!.bytes);
      bytes[15] = random.below(256);
      if (!isIpv4(bytes)) bytes[7] = random.below(4);
      t.is(table.lookup(words(bytes)), oracle.lookup(bytes), `seed ${seed}, ${keys.length} prefixes`);
    };
    for (const [steps, growth] of [
      [1400, 9],
      [600, 5],
      [1500, 1],
    ] as const) {
      for (let i = 0; i < steps; i++) {
        if (keys.length === 0 || random.below(10) < growth) change();
        else forget();
        if (i % 3 === 0) ask();
      }
    }
  }
});

test('prefixes that lie too densely for one list, or too deep, are walked to', (t) => {
  const table = new ForwardingTable();
  const oracle = new Oracle();
  const set = (bytes: Uint8Array, length: number, egress: number) => {
    const key = new Prefix(bytes, length);
    table.setPrefix({ prefix: key.bytes, length, egress });
    oracle.set(key, egress);
  };
  const asked: Uint8Array[] = [];
  for (let i = 0; i < 1000; i++) {
    const bytes = new Uint8Array(16);
    bytes.set([0xfd, i & 0xff, 0xc0 | (i >>> 8)]);
    set(bytes, 24, 1 + i);
    asked.push(bytes);
  }
  for (let i = 0; i < 40; i++) {
    const bytes = new Uint8Array(16);
    bytes.set([0xfd, 3, 0xc1, 0, i]);
    set(bytes, 40, 2000 + i);
    asked.push(bytes);
    const app = parseIp('fd05:c200::')!;
    app[15] = i;
    set(new Uint8Array(app), 128, 3000 + i);
    asked.push(app);
  }
  set(new Uint8Array(16), 0, 9999);
  for (const bytes of asked) {
    for (const last of [bytes[15]!, 77]) {
      const address = new Uint8Array(bytes);
      address[15] = last;
      t.is(table.lookup(words(address)), oracle.lookup(address));
    }
  }
});

test('an egress too large for a list is found all the same, and prefixes may change for ever', (t) => {
  const table = new ForwardingTable();
  const prefixOf = (i: number) => Uint8Array.of(0xfd, i >>> 8, i, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0);
  const largest = 2 ** 25 - 2;
  for (let i = 0; i < 600; i++) table.setPrefix({ prefix: prefixOf(i), length: 40, egress: largest + (i % 4) });
  for (let i = 0; i < 600; i++) t.is(table.lookup(words(prefixOf(i))), largest + (i % 4));
  for (let change = 0; change < 10_000; change++) {
    const prefix = prefixOf((change * 7) % 600);
    table.setPrefix({ prefix, length: 40, egress: change + 1 });
    if (table.lookup(words(prefix)) !== change + 1) return t.fail(`change ${change} was not seen`);
  }
  for (let i = 0; i < 600; i++) t.true(table.lookup(words(prefixOf(i))) > 9000);
});

test('next hops are at most three, and an empty list takes the node away', (t) => {
  const table = new ForwardingTable();
  table.patchNodes([{ node: 7, hops: [1, 2, 3, 4] }]);
  t.deepEqual(table.hops(7), [1, 2, 3]);
  table.patchNodes([{ node: 7, hops: [] }]);
  t.is(table.hops(7), undefined);
});
