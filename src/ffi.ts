import { createRequire } from 'node:module';
import type koffi from 'koffi';

/**
 * Foreign functions: the process's own symbols (libc, and OpenSSL's EVP functions, which the node binary exports).
 * The only koffi import. It is loaded when it is first wanted: a command that only asks the daemon something does without.
 */
export type Library = ReturnType<typeof koffi.load>;
export type ForeignFunction = ReturnType<Library['func']>;

const load = createRequire(import.meta.url);
const loaded: { koffi?: typeof koffi; self?: Library } = {};

function library(): typeof koffi {
  loaded.koffi ??= load('koffi') as typeof koffi;
  return loaded.koffi;
}

/** The function of this C prototype; throws when the process has no such symbol. */
export function foreign(prototype: string): ForeignFunction {
  loaded.self ??= library().load(null);
  return loaded.self.func(prototype);
}

/** The same, or undefined where the symbol is missing. */
export function foreignIfAny(prototype: string): ForeignFunction | undefined {
  try {
    return foreign(prototype);
  } catch {
    return undefined; // an older or differently built node: the caller has a fallback
  }
}

const stackOctets = 4096;

/**
 * A function without parameters, each call of which overwrites with zeros what foreign functions left on their stack. They run on one
 * that koffi keeps for them, so what lies there lies there until another is called that goes as deep. An argument that large goes by
 * value onto that stack, by the calling convention of x86-64, and nobody reads it.
 */
export function foreignThatClears(symbol: string): (() => void) | undefined {
  const zeros = { octets: new BigUint64Array(stackOctets / 8) };
  try {
    const { array, struct } = library();
    const type = struct({ octets: array('uint64_t', zeros.octets.length, 'Typed') });
    loaded.self ??= library().load(null);
    const call = loaded.self.func(symbol, 'void', [type]);
    return () => call(zeros);
  } catch {
    return undefined; // an older or differently built node
  }
}

/** errno of the last foreign call made by this thread. */
export function errno(): number {
  return library().errno();
}

/**
 * The address of these octets, for prototypes that take addresses as uint64_t: a plain number costs a third less per call
 * than a buffer does. Valid while the buffer lives: the collector never moves an ArrayBuffer's octets, but it frees them.
 */
export function addressOf(bytes: Uint8Array): number {
  return Number(library().address(bytes));
}
