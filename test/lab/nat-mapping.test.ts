import test from 'ava';
import { Narrator } from '../../lab/narrator.js';
import { mapping } from '../../lab/scenarios/mapping.js';

for (const protocol of ['igd2', 'nat-pmp'] as const) {
  test(`${protocol}: mapped and proven, again after the router's reboot, removed on exit`, async (t) => {
    const result = await mapping(new Narrator(t.log), [protocol]);
    // From the process on it is a figure of `npm run verify`, where nothing else keeps the machine busy.
    t.true(result.ready < 3000, `proven ${result.ready} ms after the daemon was ready`);
    t.true(result.reboot < 10_000, `proven ${result.reboot} ms after the router came back`);
    t.is(result.left, 0);
  });
}
