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
