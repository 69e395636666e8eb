import test from 'ava';
import { allMeetings, isAsExpected, meet, soon } from '../../lab/scenarios/nat-matrix.js';

/** One of each kind of meeting that is hard in its own way, two at a time; `npm run lab -- nat-matrix` has them all. */
const short = [
  [
    ['symmetric', 'symmetric'],
    ['upnp-home', 'symmetric'],
  ],
  [
    ['port-restricted', 'double-nat'],
    ['same-lan', 'same-lan'],
  ],
] as const;

for (const pairs of short) {
  test.serial(`27: ${pairs.map(([a, b]) => `${a} meets ${b}`).join('; ')}`, async (t) => {
    await Promise.all(
      pairs.map(async ([a, b]) => {
        const isIt = (meeting: { readonly a: string; readonly b: string }) =>
          (meeting.a === a && meeting.b === b) || (meeting.a === b && meeting.b === a);
        const met = await meet(allMeetings().find(isIt)!);
        t.log(`${a} and ${b}: ${met.got} after ${Math.round(met.took)} ms ${met.why}`);
        t.true(isAsExpected(met), `${a} and ${b}: expected ${met.expected}`);
        if (a === 'symmetric' && b === 'symmetric') {
          t.is(met.got, 'relayed');
          for (const words of [met.why, met.said]) t.regex(words.replace(/\s+/g, ' '), /both NATs are symmetric/);
        }
        if (met.expected === 'direct') t.true(met.took < soon, `${a} and ${b}: direct after ${met.took} ms`);
      }),
    );
  });
}
