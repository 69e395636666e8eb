import test from 'ava';
import { isAsExpected, meet, meetingOf, meetingWithin } from '../../lab/scenarios/nat-matrix.js';

/** One of each kind of meeting that is hard in its own way, two or three at a time; `npm run lab -- nat-matrix` has them all. */
const short = [
  [meetingOf('symmetric', 'symmetric'), meetingOf('symmetric', 'upnp-home'), meetingWithin('one-carrier')],
  [meetingOf('port-restricted', 'double-nat'), meetingWithin('same-lan')],
];

/** Why those of one kind that stay relayed say they do. */
const reasons: Readonly<Record<string, RegExp>> = {
  symmetric: /both NATs are symmetric/,
  'one-carrier': /both stand behind 11\.0\.3\.2, which lets nothing back in/,
};

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
        const reason = reasons[a === b ? a : ''];
        if (!reason) return;
        t.is(got, 'relayed');
        for (const words of [why, said]) t.regex(words.replace(/\s+/g, ' '), reason);
      }),
    );
  });
}
