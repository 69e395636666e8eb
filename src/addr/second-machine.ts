import { equalBytes, octetsOf64 } from '../bytes.js';
import { type SigningKey, VerifyingKey } from '../crypto.js';
import { octetsField } from './fields.js';
import type { NetworkId } from './network.js';
import { isSignedBy, readStatement, signStatement } from './statement.js';

const label = 'weft second machine';
const incarnationLength = 8;

/**
 * The proof that a second machine runs with a node's key, which is for the first one: a Statement labelled "weft second
 * machine" with the fields first and second, the incarnations of both (8 octets each), signed by the second with that key.
 *
 * The first has chosen its incarnation by chance when it started, and signs nothing that names its own as the first: so somebody else
 * has signed it, with the same key, since then. A member that passes it on can withhold or repeat it, and not make one.
 */
export class SecondMachine {
  readonly #network: NetworkId;
  readonly #key: SigningKey;
  readonly #own: Uint8Array;

  /** `key` is this node's own; `incarnation`: 64 bits, of this start. */
  constructor(network: NetworkId, key: SigningKey, incarnation: bigint) {
    this.#network = network;
    this.#key = key;
    this.#own = octetsOf64(incarnation);
  }

  /** That we run beside the machine of that incarnation, the caller's; undefined when that is this very start. */
  prove(first: bigint): Uint8Array | undefined {
    const octets = octetsOf64(first);
    if (equalBytes(octets, this.#own)) return undefined;
    return signStatement(label, this.#network, this.#key, { first: octets, second: this.#own });
  }

  /** Whether these octets, from whomever they come, prove that another machine has run with our key since we started. */
  isProven(bytes: Uint8Array): boolean {
    const statement = readStatement(bytes);
    const first = statement && octetsField(statement.fields, 'first', incarnationLength);
    const second = statement && octetsField(statement.fields, 'second', incarnationLength);
    if (!first || !second || !equalBytes(first, this.#own) || equalBytes(second, this.#own)) return false;
    return isSignedBy(statement, label, this.#network, VerifyingKey.from(this.#key.publicKey));
  }
}
