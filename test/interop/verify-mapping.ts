import { reportRow } from '../../scripts/verify-row.js';
import { mappingStarts } from './mapping-starts.js';

/** For `npm run verify`: a hundred starts behind each kind of real router. */
const starts = 100;
for (const { router, good, median, slowest } of await mappingStarts(starts)) {
  reportRow({
    what: `starts of a node behind ${router} (miniupnpd): mapped within 3 s, forwarded, removed on exit`,
    target: `${starts} of ${starts}`,
    measured: `${good} of ${starts}; from the start of the process ${median.toFixed(0)} ms, slowest ${slowest.toFixed(0)} ms`,
    ok: good === starts,
  });
}
