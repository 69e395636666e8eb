import type { Target } from '../target.js';
import { meshTargets } from './mesh.js';
import { protocolTargets } from './protocols.js';
import { renewals } from './renewals.js';
import { tunnelTargets } from './tunnel.js';
import { valueTargets } from './values.js';

/** Every decoder of octets or text that others write. */
export const targets: readonly Target[] = [
  ...tunnelTargets,
  renewals,
  ...meshTargets,
  ...valueTargets,
  ...protocolTargets,
];
