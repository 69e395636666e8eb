import { sha256 } from '../crypto.js';

/** Items of a set are spread over this many buckets by the first octet of their place. */
export const bucketCount = 128;
export const sumLength = 6;
/** How an item is named in lists: the start of the SHA-256 of its octets. */
export const itemHashLength = 8;

/** An item of a set that gossip keeps alike on all nodes. */
export interface Item {
  readonly bytes: Uint8Array;
  /** 8 octets, of the item's octets. */
  readonly hash: Uint8Array;
  /** Its bucket, of what it is about: a newer version of the same thing comes to lie in the same one. */
  readonly bucket: number;
}

export function itemOf(bytes: Uint8Array, about: Uint8Array): Item {
  return { bytes, hash: sha256(bytes).subarray(0, itemHashLength), bucket: sha256(about)[0]! % bucketCount };
}

/**
 * Sums of a set by which two nodes find where theirs differ: of each bucket the exclusive or of its items' hashes (the first 6
 * octets). The order of items does not matter, and one that comes or goes changes one sum.
 */
export class Digest {
  readonly #buckets: Map<string, Item>[] = Array.from({ length: bucketCount }, () => new Map());
  readonly #sums = new Uint8Array(bucketCount * sumLength);

  #size = 0;

  get size(): number {
    return this.#size;
  }

  add(item: Item): void {
    const bucket = this.#buckets[item.bucket]!;
    const key = hashKey(item.hash);
    if (bucket.has(key)) return;
    bucket.set(key, item);
    this.#size++;
    this.#toggle(item);
  }

  remove(item: Item): void {
    if (!this.#buckets[item.bucket]!.delete(hashKey(item.hash))) return;
    this.#size--;
    this.#toggle(item);
  }

  bucket(number: number): readonly Item[] {
    return [...this.#buckets[number]!.values()];
  }

  find(bucket: number, hash: Uint8Array): Item | undefined {
    return this.#buckets[bucket]!.get(hashKey(hash));
  }

  /** All sums, bucket after bucket: 768 octets, the caller's. */
  sums(): Uint8Array {
    return new Uint8Array(this.#sums);
  }

  /** 8 octets that differ when any sum does. */
  total(): Uint8Array {
    return sha256(this.#sums).subarray(0, 8);
  }

  #toggle(item: Item): void {
    for (let i = 0; i < sumLength; i++) this.#sums[item.bucket * sumLength + i]! ^= item.hash[i]!;
  }
}

function hashKey(hash: Uint8Array): string {
  return String.fromCharCode(...hash);
}
