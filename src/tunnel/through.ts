import type { Path } from './plane/contract.js';

/**
 * By what a handshake comes or goes: as a datagram of its own, which shares a queue with all that strangers send; or sealed
 * in the session that it renews, whose frames have queues of their own.
 */
export type Through = Path | 'session';
