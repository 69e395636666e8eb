/** A packet on its way: the number of its place, or itself where it is short. */
export type Parcel = number | Uint8Array;

/** Typed arrays of no more octets than this are in V8's heap, and cost nothing outside it. */
const shortPacket = 64;
/** No packet is longer. */
const placeOctets = 1280;
const placesInBlock = 1024;

/**
 * Packets on their way, copied into a few large blocks. A large network has a hundred thousand on their way at once: each with a
 * buffer of its own, they would have V8 mark its whole heap again and again (docs/decisions/routing-memory.md, Octets outside the
 * heap).
 */
export class Parcels {
  readonly #blocks: Uint8Array[] = [];
  /** By place. */
  readonly #lengths: number[] = [];
  readonly #free: number[] = [];

  /** Copies the octets, but for short ones. */
  pack(bytes: Uint8Array): Parcel {
    if (bytes.length <= shortPacket) return bytes;
    if (bytes.length > placeOctets) throw new Error(`a packet of ${bytes.length} octets`);
    const place = this.#free.pop() ?? this.#lengths.length;
    const block = Math.floor(place / placesInBlock);
    if (block === this.#blocks.length) this.#blocks.push(new Uint8Array(placesInBlock * placeOctets));
    this.#blocks[block]!.set(bytes, (place % placesInBlock) * placeOctets);
    this.#lengths[place] = bytes.length;
    return place;
  }

  /** The octets, to be read until `discard`. */
  open(parcel: Parcel): Uint8Array {
    if (typeof parcel !== 'number') return parcel;
    const from = (parcel % placesInBlock) * placeOctets;
    return this.#blocks[Math.floor(parcel / placesInBlock)]!.subarray(from, from + this.#lengths[parcel]!);
  }

  /** Its place is for another; to be called once. */
  discard(parcel: Parcel): void {
    if (typeof parcel === 'number') this.#free.push(parcel);
  }
}
