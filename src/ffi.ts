import koffi from 'koffi';

/**
 * Foreign functions: the process's own symbols (libc, and OpenSSL's EVP functions, which the node binary exports).
 * The only koffi import.
 */
export type Library = ReturnType<typeof koffi.load>;
export type ForeignFunction = ReturnType<Library['func']>;

const self: Library = koffi.load(null);

/** The function of this C prototype; throws when the process has no such symbol. */
export function foreign(prototype: string): ForeignFunction {
  return self.func(prototype);
}

/** The same, or undefined where the symbol is missing. */
export function foreignIfAny(prototype: string): ForeignFunction | undefined {
  try {
    return self.func(prototype);
  } catch {
    return undefined; // an older or differently built node: the caller has a fallback
  }
}

/** errno of the last foreign call made by this thread. */
export function errno(): number {
  return koffi.errno();
}

/**
 * The address of these octets, for prototypes that take addresses as uint64_t: a plain number costs a third less per call
 * than a buffer does. Valid while the buffer lives: the collector never moves an ArrayBuffer's octets, but it frees them.
 */
export function addressOf(bytes: Uint8Array): number {
  return Number(koffi.address(bytes));
}
