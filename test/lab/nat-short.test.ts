import test from 'ava';
import { allMeetings, isAsExpected, meet, soon } from '../../lab/scenarios/nat-matrix.js';

/** One of each kind of meeting that is hard in its own way; `npm run lab -- nat-matrix` has them all. */
const short = [
  ['upnp-home', 'symmetric'],
  ['port-restricted', 'double-nat'],
  ['symmetric', 'symmetric'],
  ['same-lan', 'same-lan'],
] as const;

for (const [a, b] of short) {
  test.serial(`${a} meets ${b}`, async (t) => {
    const met = await meet(
      allMeetings().find((meeting) => (meeting.a === a && meeting.b === b) || (meeting.a === b && meeting.b === a))!,
    );
    t.log(`${met.got} after ${Math.round(met.took)} ms ${met.why}`);
    t.true(isAsExpected(met), `expected ${met.expected}`);
    if (met.expected === 'direct') t.true(met.took < soon, `direct after ${met.took} ms`);
  });
}
