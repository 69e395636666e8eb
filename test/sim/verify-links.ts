import { reportRow } from '../../scripts/verify-row.js';
import { linkRows, measureLinks } from './link-report.js';

/** The topology's part of `npm run verify`: hops, survivors cut off, and delays, at full size. */
for (const row of linkRows([measureLinks(1, () => undefined)])) reportRow(row);
