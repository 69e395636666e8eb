import test from 'ava';
import { isAsExpected, meet, meetingOf, sameLan } from '../../lab/scenarios/nat-matrix.js';

/** One of each kind of meeting that is hard in its own way, two at a time; `npm run lab -- nat-matrix` has them all. */
const short = [
  [meetingOf('symmetric', 'symmetric'), meetingOf('symmetric', 'upnp-home')],
  [meetingOf('port-restricted', 'double-nat'), sameLan],
];

for (const meetings of short) {
  test.serial(`27: ${meetings.map(({ a, b }) => `${a} meets ${b}`).join('; ')}`, async (t) => {
    await Promise.all(
      meetings.map(async (meeting) => {
        const met = await meet(meeting);
        const { a, b, expected, got, connected, took, why, said } = met;
        t.log(`${a} and ${b}: ${got} after ${Math.round(took)} ms ${why}`);
        t.true(
          isAsExpected(met),
          `${a} and ${b}: expected ${expected}, by ping after ${connected} ms, ${got} ${took} ms`,
        );
        if (a === 'symmetric' && b === 'symmetric') {
          t.is(got, 'relayed');
          for (const words of [why, said]) t.regex(words.replace(/\s+/g, ' '), /both NATs are symmetric/);
        }
      }),
    );
  });
}
