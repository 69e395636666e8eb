import test from 'ava';
import fc from 'fast-check';
import { LastSegments } from '../../../src/tunnel/plane/last-segments.js';
import { AddressWords } from '../../../src/tunnel/plane/packet.js';

const address = (number: number) => Object.assign(new AddressWords(), { a: number });
const bytes = (number: number) => Uint8Array.of(number);
const always = () => true;

test('the newest segment of a flow takes the place of the one before, and is handed out once', (t) => {
  const last = new LastSegments();
  t.is(last.keep('x', address(1), bytes(1), false, 0), 0);
  t.is(last.keep('y', address(1), bytes(2), true, 0), 0);
  t.is(last.keep('x', address(1), bytes(3), false, 10), 1);
  t.is(last.keep('y', address(1), bytes(4), true, 10), 0, 'it had been sent too');
  t.deepEqual(last.take(always), [bytes(3), bytes(4)]);
  t.deepEqual(last.take(always), []);
  t.true(last.isEmpty);
});

test('only what has a way is handed out', (t) => {
  const last = new LastSegments();
  for (const number of [1, 2]) last.keep(`flow ${number}`, address(number), bytes(number), false, 0);
  t.deepEqual(
    last.take((destination) => destination.equals(address(2))),
    [bytes(2)],
  );
  t.false(last.isEmpty);
});

test('what waited for two minutes is given up', (t) => {
  const last = new LastSegments();
  last.keep('x', address(1), bytes(1), false, 0);
  last.keep('y', address(1), bytes(2), false, 1);
  t.is(last.expire(119_999), 0);
  t.is(last.expire(120_000), 1);
  t.deepEqual(last.take(always), [bytes(2)]);
});

test('a destination with many flows leaves room for the others', (t) => {
  const last = new LastSegments();
  last.keep('other', address(2), bytes(0), false, 0);
  let lost = 0;
  for (let i = 0; i < 1000; i++) lost += last.keep(`flow ${i}`, address(1), bytes(i & 255), false, 1);
  t.is(lost, 936);
  const taken = last.take(always);
  t.is(taken.length, 65);
  t.deepEqual(taken.slice(0, 2), [bytes(0), bytes(936 & 255)]);
});

test('of more than 256 the one that waits longest goes first', (t) => {
  const last = new LastSegments();
  let lost = 0;
  for (let i = 0; i < 1000; i++) lost += last.keep(`flow ${i}`, address(i), bytes(i & 255), false, 1);
  t.is(lost, 744);
  const taken = last.take(always);
  t.is(taken.length, 256);
  t.deepEqual(taken[0], bytes(744 & 255));
});

test('whatever is kept, forgotten and taken: bounds hold, a flow has one segment, its newest, and each is accounted for once', (t) => {
  const step = fc.record({
    what: fc.constantFrom('keep', 'keep', 'keep', 'keep', 'keep', 'forget', 'take', 'expire'),
    flow: fc.nat(399),
    destination: fc.nat(6),
    sent: fc.boolean(),
    after: fc.constantFrom(0, 0, 0, 1, 100, 30_000),
  });
  const steps = fc.array(step, { minLength: 300, maxLength: 1500, size: 'max' });
  fc.assert(
    fc.property(steps, (run) => {
      const last = new LastSegments();
      let now = 0;
      let [kept, sent, lost, out] = [0, 0, 0, 0];
      /** The number of the newest segment of each flow, and when it was kept. */
      const newest = new Map<string, { number: number; at: number; sent: boolean }>();
      for (const { what, flow, destination, sent: alsoSent, after } of run) {
        now += after;
        const key = `${destination} ${flow}`;
        if (what === 'keep') {
          kept++;
          if (alsoSent) sent++;
          newest.set(key, { number: kept, at: now, sent: alsoSent });
          const segment = new TextEncoder().encode(`${key} ${kept}`);
          lost += last.keep(key, address(destination), segment, alsoSent, now);
        } else if (what === 'forget') {
          lost += last.forget(key);
          newest.delete(key);
        } else if (what === 'expire') lost += last.expire(now);
        else {
          lost += last.expire(now);
          const taken = last.take((to) => to.equals(address(destination)));
          t.true(taken.length <= 64);
          let before = -1;
          for (const segment of taken) {
            const [to, name, number] = new TextDecoder().decode(segment).split(' ');
            const known = newest.get(`${to} ${name}`)!;
            t.is(Number(to), destination);
            t.is(Number(number), known.number);
            t.true(now - known.at < 120_000);
            t.true(known.number > before, 'oldest first');
            before = known.number;
            newest.delete(`${to} ${name}`);
            if (!known.sent) out++;
          }
        }
      }
      const rest = last.take(always);
      t.true(rest.length <= 256);
      for (const segment of rest) {
        const [to, name] = new TextDecoder().decode(segment).split(' ');
        if (!newest.get(`${to} ${name}`)!.sent) out++;
      }
      t.is(lost + out, kept - sent);
    }),
    { numRuns: 40, seed: 7 },
  );
});
