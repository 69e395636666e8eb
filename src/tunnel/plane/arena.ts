/**
 * The memory one data plane works in: one buffer, made once, its parts named by offsets. Numbers instead of views, so
 * that nothing is allocated per packet and foreign functions get plain addresses.
 *
 *   scratch │ tunIn (one packet or super-packet, behind its virtio header) │ udpIn (one burst) │ outbox (one burst) │ join │ halves that wait for it │ one of
 *   them, where planes share the arena
 */
export class Arena {
  readonly bytes: Uint8Array;
  readonly view: DataView;
  /** The first octet's address in this process; 0 where no foreign function looks at it. */
  readonly base: number;

  /**
   * Addresses as foreign functions get them, kept once made: they exceed V8's small integers, so each would be an
   * allocation a frame. Begun with `undefined`, for else V8 stores the numbers themselves and allocates at each
   * reading.
   */
  readonly #addresses: (number | undefined)[];

  readonly scratch = 0;
  readonly scratchLength = 4096;
  readonly tunIn = 4096;
  readonly tunInLength = 65536 + 64;
  readonly udpIn = 4096 + 65664;
  readonly udpInLength = 65536;
  readonly outbox = 4096 + 65664 + 65664;
  readonly outboxLength = 65536 + 64;
  readonly join = 4096 + 3 * 65664;
  readonly joinLength = 4096;
  readonly halves = 2 * 4096 + 3 * 65664;
  readonly halfSlots = 64;
  /** A frame is cut because it is longer than a path: half of it is not longer than the longest path, 1472 octets. */
  readonly halfLength = 1536;
  readonly foundHalf = this.halves + this.halfSlots * this.halfLength;

  /** `locate` tells the address of octets, where foreign functions are used. */
  constructor(locate?: (bytes: Uint8Array) => number) {
    this.bytes = new Uint8Array(this.foundHalf + this.halfLength);
    this.view = new DataView(this.bytes.buffer);
    this.base = locate ? locate(this.bytes) : 0;
    this.#addresses = locate ? new Array<undefined>(this.halves).fill(undefined) : [];
  }

  /** The address of the octet at this offset. */
  address(offset: number): number {
    const known = this.#addresses[offset];
    if (known !== undefined) return known;
    const made = this.base + offset;
    this.#addresses[offset] = made;
    return made;
  }
}
