import type { Endpoint } from '../addr/endpoint.js';
import type { NodeNumber } from '../addr/node-number.js';
import { equalBytes } from '../bytes.js';
import type { Random } from '../random.js';
import { type Millis, minute, second } from '../time.js';
import { type DialBackMessage, encodeDialBack, encodeDialBackBody } from './dial-back.js';

export type ProverEffect =
  | { readonly kind: 'sendMesh'; readonly to: NodeNumber; readonly bytes: Uint8Array }
  /** One datagram of type dialBack with this body, from a source port of its own. */
  | { readonly kind: 'sendDialBack'; readonly to: Endpoint; readonly body: Uint8Array };

/** docs/protocol/reachability.md, Rules of the prover. */
const perAsker = 6;
const altogether = 30;
const period: Millis = minute;
/** How long the answer to a datagram is awaited. */
const patience: Millis = 10 * second;

interface Dialled {
  readonly asker: NodeNumber;
  readonly nonce: Uint8Array;
  readonly proof: Uint8Array;
  readonly at: Millis;
}

/**
 * Dials back for neighbours. Nothing an asker says makes it send anywhere but to the address from which the asker's own
 * frames come: whatever a member asks for, a third address hears nothing.
 */
export class DialBackProver {
  readonly #random: Random;
  /** Of the last minute, so never more than `altogether`. */
  #dialled: Dialled[] = [];

  constructor(random: Random) {
    this.#random = random;
  }

  /** `from` is where the asker's frames come from; undefined when it is no neighbour. */
  asked(
    asker: NodeNumber,
    ask: DialBackMessage & { kind: 'ask' },
    from: Endpoint | undefined,
    now: Millis,
  ): ProverEffect[] {
    const { nonce, endpoint } = ask;
    const refuse = (reason: 'notYours' | 'busy'): ProverEffect[] => [
      { kind: 'sendMesh', to: asker, bytes: encodeDialBack({ kind: 'refused', nonce, reason }) },
    ];
    if (from?.address !== endpoint.address) return refuse('notYours');
    this.#dialled = this.#dialled.filter(({ at }) => at > now - period);
    const hers = this.#dialled.filter((dialled) => dialled.asker === asker).length;
    if (hers >= perAsker || this.#dialled.length >= altogether) return refuse('busy');
    const proof = this.#random.bytes(8);
    this.#dialled.push({ asker, nonce, proof, at: now });
    return [{ kind: 'sendDialBack', to: endpoint, body: encodeDialBackBody(nonce, proof) }];
  }

  /** The asker says that our datagram came; it shows the proof that only the datagram carried. */
  arrived(asker: NodeNumber, { nonce, proof }: DialBackMessage & { kind: 'arrived' }, now: Millis): ProverEffect[] {
    const fits = this.#dialled.some(
      (dialled) =>
        dialled.asker === asker &&
        dialled.at > now - patience &&
        equalBytes(dialled.nonce, nonce) &&
        equalBytes(dialled.proof, proof),
    );
    return fits ? [{ kind: 'sendMesh', to: asker, bytes: encodeDialBack({ kind: 'proven', nonce }) }] : [];
  }
}
