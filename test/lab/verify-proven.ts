import { Narrator } from '../../lab/narrator.js';
import { mappingStarts, soon } from '../../lab/scenarios/mapping.js';
import { reportRow } from '../../scripts/verify-row.js';

/** For `npm run verify`: a hundred starts of the real daemon behind real routers that speak the protocol named. */
const total = 100;
const homes = 10;

const protocol = process.argv[2];
if (protocol !== 'igd2' && protocol !== 'nat-pmp') throw new Error('which protocol: igd2 or nat-pmp');

const { starts, failures, left } = await mappingStarts(new Narrator(), protocol, total, homes);
for (const failure of failures) console.log(failure);
const inTime = starts.filter((took) => took < soon).length;
reportRow({
  what: `${protocol}: starts of the daemon after which its endpoint is mapped and proven within ${soon / 1000} s`,
  target: `${total} of ${total}`,
  measured: `${inTime} of ${total}, slowest ${Math.round(Math.max(...starts))} ms`,
  ok: inTime === total,
});
reportRow({
  what: `${protocol}: mappings left after ${total} orderly stops`,
  target: '0',
  measured: String(left),
  ok: left === 0,
});
process.exit(0);
