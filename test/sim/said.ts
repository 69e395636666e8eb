/**
 * What an update says of a prefix, in one number: the router by its index · 2^32 + seqno · 2^16 + metric. A thousand
 * nodes keep millions of them.
 */
export type Said = number;
export const nothing: Said = 0;

/** `router`: from 1. */
export function said(router: number, seqno: number, metric: number): Said {
  return router * 2 ** 32 + seqno * 0x10000 + metric;
}

export function routerIn(words: Said): number {
  return Math.floor(words / 2 ** 32);
}

export function seqnoIn(words: Said): number {
  return (words >>> 16) & 0xffff;
}

export function metricIn(words: Said): number {
  return words & 0xffff;
}
