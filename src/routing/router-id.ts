import type { NodeNumber } from '../addr/node-number.js';

/**
 * The 8 octets that name an originator, as 16 lower-case hex digits; text, so it is its own key (RFC 8966 §4.1.3).
 * Of a weft node: node number u24 ‖ epoch u40 (PROTOCOL.md, Babel). Routers of a LAN choose theirs as they like.
 */
export type RouterId = string;

/** Counts how often a node lost its stored seqno. 40 bits. */
export type Epoch = number;

export const maxEpoch: Epoch = 2 ** 40 - 1;

export function routerIdOf(node: NodeNumber, epoch: Epoch): RouterId {
  return node.toString(16).padStart(6, '0') + epoch.toString(16).padStart(10, '0');
}

/** From the two big-endian halves, as the codec reads them. */
export function routerIdFrom(high: number, low: number): RouterId {
  return high.toString(16).padStart(8, '0') + low.toString(16).padStart(8, '0');
}

export function highOf(id: RouterId): number {
  return Number.parseInt(id.slice(0, 8), 16);
}

export function lowOf(id: RouterId): number {
  return Number.parseInt(id.slice(8), 16);
}

/** All-zero and all-one are no router-ids (RFC 8966 §4.1.3). */
export function isRouterId(high: number, low: number): boolean {
  return !(high === 0 && low === 0) && !(high === 0xffff_ffff && low === 0xffff_ffff);
}
