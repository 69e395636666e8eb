import { second } from '../../src/time.js';
import { LyingRouter } from '../upnp/lying-router.js';

/**
 * A router's UPnP as a program of its own, on the address that it is given: honest, and slow to say that it has mapped
 * what it was asked for. After each call it prints the external ports that it forwards now.
 */
const [address = ''] = process.argv.slice(2);
const router = new LyingRouter(address, address);
router.answersAfter = (action) => {
  console.log(`${action}: ${[...router.table.keys()].join(' ')}`);
  return action === 'AddPortMapping' ? 0.7 * second : 0;
};
await router.start();
console.log('ready');
