import type { GatewayDescription } from '../../src/upnp/contract.js';

/** A router as the machines know it, and one on another side of this one. */
export const gateway: GatewayDescription = {
  id: 'one',
  protocol: 'upnp',
  address: '192.168.1.1',
  name: 'Box',
  localAddress: '192.168.1.20',
};
export const other: GatewayDescription = { ...gateway, id: 'two', address: '192.168.2.1' };
