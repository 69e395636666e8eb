import { decodeMap, type FieldMap } from '../addr/fields.js';
import type { NodeNumber } from '../addr/node-number.js';
import { encodeCbor } from '../cbor.js';
import type { Millis } from '../time.js';
import type { MeshEffect } from './effects.js';

/** Who sent a mesh control message: known from the tunnel or end-to-end session it came through. */
export interface Sender {
  readonly node: NodeNumber;
  readonly neighbour: boolean;
}

export type MessageHandler<Effect> = (message: FieldMap, sender: Sender, now: Millis) => Effect[];

/** Mesh control messages are CBOR maps; the field `t`, a short text, says which machine they are for. */
export function meshMessage(type: string, fields: FieldMap): Uint8Array {
  return encodeCbor({ t: type, ...fields });
}

export function sendMesh(to: NodeNumber, type: string, fields: FieldMap): MeshEffect {
  return { kind: 'sendMesh', to, bytes: meshMessage(type, fields) };
}

/** Brings each message to the machine that registered for its type; counts what nobody wants. */
export class MeshMessages<Effect = MeshEffect> {
  readonly #handlers = new Map<string, MessageHandler<Effect>>();
  #malformed = 0;
  #unknown = 0;

  /** One machine a type; a second one is our bug. */
  on(type: string, handler: MessageHandler<Effect>): void {
    if (this.#handlers.has(type)) throw new Error(`two machines want ${type}`);
    this.#handlers.set(type, handler);
  }

  handle(bytes: Uint8Array, sender: Sender, now: Millis): Effect[] {
    const message = decodeMap(bytes);
    if (typeof message?.t !== 'string') {
      this.#malformed++;
      return [];
    }
    const handler = this.#handlers.get(message.t);
    if (!handler) this.#unknown++; // from a newer version: no fault
    return handler?.(message, sender, now) ?? [];
  }

  drops(): ReadonlyMap<string, number> {
    return new Map([
      ['mesh-malformed', this.#malformed],
      ['mesh-unknown-type', this.#unknown],
    ]);
  }
}
