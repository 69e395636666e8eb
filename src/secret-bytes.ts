/**
 * `length` zero octets for a key or what a key is made from; who asked for them wipes them. They lie outside the JavaScript heap:
 * a typed array of up to 64 octets lies inside it, where the collector copies it and leaves the old octets behind, unless
 * its ArrayBuffer was made first.
 */
export function secretBytes(length: number): Uint8Array {
  return new Uint8Array(new ArrayBuffer(length));
}

/** A copy in such memory. */
export function secretCopy(secret: Uint8Array): Uint8Array {
  const copy = secretBytes(secret.length);
  copy.set(secret);
  return copy;
}

/** The octets of what node:crypto has made, in such memory; its own are zeroed. */
export function takeSecret(made: Uint8Array): Uint8Array {
  const taken = secretCopy(made);
  made.fill(0);
  return taken;
}

/**
 * What `make` gives, when it makes node copy a secret into the memory that all small Buffers share: that copy is zeroed, which
 * nobody else would do before all of that memory is garbage, and the memory would be freed as it is.
 */
export function withoutPooled<Made>(secret: Uint8Array, make: () => Made): Made {
  const before = bufferPool();
  try {
    return make();
  } finally {
    for (const pool of [before, bufferPool()]) {
      for (let at = pool.indexOf(secret); at >= 0; at = pool.indexOf(secret, at + 1))
        pool.fill(0, at, at + secret.length);
    }
  }
}

/** Node begins another when one is full, never two within one small Buffer. */
function bufferPool(): Buffer {
  return Buffer.from(Buffer.allocUnsafe(1).buffer);
}
