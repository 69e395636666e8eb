import test from 'ava';
import fc from 'fast-check';
import type { MeshEvent } from '../../src/mesh/mesh.js';
import { World } from '../mesh/world.js';

interface Change {
  readonly which: number;
  readonly kind: 'flip' | 'cut' | 'insert';
  readonly at: number;
  readonly bit: number;
  readonly extra: Uint8Array;
}

const change: fc.Arbitrary<Change> = fc.record({
  which: fc.nat(),
  kind: fc.constantFrom('flip', 'cut', 'insert'),
  at: fc.double({ min: 0, max: 0.999, noNaN: true }),
  bit: fc.nat(7),
  extra: fc.uint8Array({ maxLength: 40 }),
});

function changed(bytes: Uint8Array, { kind, at, bit, extra }: Change): Uint8Array {
  const place = Math.floor(at * bytes.length);
  if (kind === 'cut') return bytes.slice(0, place);
  if (kind === 'insert') return new Uint8Array([...bytes.subarray(0, place), ...extra, ...bytes.subarray(place)]);
  const out = bytes.slice();
  out[place]! ^= 1 << bit;
  return out;
}

test('what a member once received, changed anyhow, throws nothing, admits nobody and puts nobody out', (t) => {
  const world = new World(1);
  const issuer = world.found();
  const heard: MeshEvent[] = [];
  const handle = issuer.mesh!.handle.bind(issuer.mesh!);
  issuer.mesh!.handle = (event, now) => {
    heard.push(event);
    return handle(event, now);
  };
  for (const name of ['a', 'b']) world.member(issuer, name);
  world.run(5000);
  const octets = heard.filter((event) => 'bytes' in event);
  t.true(octets.length > 20);
  const { revocationCount, issuerCount } = issuer.mesh!.membership;
  const table = issuer.disk.get('issuer');
  fc.assert(
    fc.property(change, (made) => {
      const event = octets[made.which % octets.length]!;
      world.now += 50;
      world.perform(issuer, handle({ ...event, bytes: changed(event.bytes, made) }, world.now));
    }),
    { numRuns: 4000 },
  );
  t.is(issuer.mesh!.membership.revocationCount, revocationCount);
  t.is(issuer.mesh!.membership.issuerCount, issuerCount);
  t.deepEqual(issuer.disk.get('issuer'), table);
  t.is(issuer.mesh!.directory.size, 3);
});
