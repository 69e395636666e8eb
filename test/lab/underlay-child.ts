import { watchUnderlay } from '../../daemon/kernel/underlay.js';

/** A process that watches the underlay until it is told to stop, or killed. */
const stop = watchUnderlay(() => false, {
  changed: (underlay) => process.stdout.write(`${JSON.stringify(underlay)}\n`),
  ownTouched: () => {},
  routesChanged: () => {},
  failed: (error) => process.stderr.write(`${error}\n`),
  blind: () => {},
});
process.on('SIGTERM', stop);
