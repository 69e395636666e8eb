/**
 * Datagrams on a byte stream (PROTOCOL.md, Where UDP is blocked): each behind its length.
 *
 *     length u16, 1 to 2048 ‖ the datagram as it would travel over UDP
 */
export const longestOnStream = 2048;

/** One frame for the stream; the caller's. Undefined for a datagram too long for it. */
export function frameForStream(datagram: Uint8Array): Buffer | undefined {
  if (datagram.length === 0 || datagram.length > longestOnStream) return undefined;
  const frame = Buffer.allocUnsafe(2 + datagram.length);
  frame.writeUInt16BE(datagram.length, 0);
  frame.set(datagram, 2);
  return frame;
}

/** Cuts a byte stream into datagrams. Holds at most one unfinished frame. */
export class StreamCutter {
  #rest: Buffer = Buffer.alloc(0);

  /** The datagrams that are whole now; undefined: this is no such stream, close it. */
  push(chunk: Buffer): Buffer[] | undefined {
    const bytes = this.#rest.length === 0 ? chunk : Buffer.concat([this.#rest, chunk]);
    const datagrams: Buffer[] = [];
    let at = 0;
    while (bytes.length - at >= 2) {
      const length = bytes.readUInt16BE(at);
      if (length === 0 || length > longestOnStream) return undefined;
      if (bytes.length - at - 2 < length) break;
      datagrams.push(bytes.subarray(at + 2, at + 2 + length));
      at += 2 + length;
    }
    this.#rest = Buffer.from(bytes.subarray(at));
    return datagrams;
  }
}
