import { bareWire } from '../bare-wire.js';
import type { Contender } from '../contender.js';

/** The line itself: what nothing can beat. */
export const bare: Contender = {
  name: bareWire,
  version: () => 'veth',
  relays: false,
  async start({ hosts, lineAddress }) {
    return {
      addresses: hosts.map((_, i) => lineAddress(i, i === 0 ? 1 : i - 1)),
      pids: [],
      async stop() {},
    };
  },
};
