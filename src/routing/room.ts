/** Up to so many rows a table doubles, beyond that it grows by a quarter. */
const doubledRows = 1024;

/**
 * For how many rows a table makes room that had room for `before` and needs `rows`. When a network starts, the tables of each node
 * grow from nothing within a second: by quarters alone they would be copied twenty times then, and V8, which counts the octets
 * outside its heap, would mark all of the heap again for every 64 MB of what the copies leave behind.
 */
export function roomFor(rows: number, before: number): number {
  return Math.max(rows, before < doubledRows ? 2 * before : Math.ceil(1.25 * before));
}
