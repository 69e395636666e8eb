import { type Endpoint, sameEndpoint } from '../addr/endpoint.js';
import { octetsField } from '../addr/fields.js';
import type { NodeNumber } from '../addr/node-number.js';
import { Bucket } from '../bucket.js';
import { toHex } from '../bytes.js';
import { type Millis, second } from '../time.js';
import type { MeshEffect } from './effects.js';
import {
  decodeJoinDatagram,
  encodeJoinBody,
  exchangeIdLength,
  type JoinMessage,
  JoinType,
  requestDatagramLength,
} from './join-datagram.js';
import { type MeshMessages, sendMesh } from './messages.js';

/** Exchanges passed on at once, and how many messages a second altogether: strangers must not use us to flood an issuer. */
const maxPassing = 256;
const passingLifetime: Millis = 30 * second;
const messagesPerSecond = 20;
const burst = 40;

interface Passing {
  readonly from: Endpoint;
  readonly issuer: NodeNumber;
  readonly expires: Millis;
  /** The longest message the newcomer sent since our last answer: no answer may be longer. */
  length: number;
}

/**
 * A member's part in the joining of a stranger: header and part go to the issuer as a mesh control message `join`, what comes
 * back as `joinback` goes to the stranger as it is. We can read neither.
 */
export class JoinRelay {
  readonly #passing = new Map<string, Passing>();
  readonly #rate = new Bucket(messagesPerSecond, burst);
  #dropped = 0;

  constructor(messages: MeshMessages) {
    messages.on('joinback', (message, sender, now) => {
      const exchange = octetsField(message, 'x', exchangeIdLength);
      const datagram = octetsField(message, 'd', 1, requestDatagramLength);
      return exchange && datagram ? this.#onAnswer(exchange, datagram, sender.node, now) : [];
    });
  }

  /** Messages refused since the start: too many, clashing, or answers nobody waits for. */
  get dropped(): number {
    return this.#dropped;
  }

  /** A message from a stranger for an issuer that is not us. */
  passOn(message: JoinMessage, length: number, stranger: Endpoint, now: Millis): MeshEffect[] {
    if (message.type === JoinType.response) return this.#drop();
    for (const [id, passing] of this.#passing) if (passing.expires <= now) this.#passing.delete(id);
    const id = toHex(message.exchange);
    const known = this.#passing.get(id);
    // Only who began an exchange may go on with it: nobody can draw its answers to another address.
    if (known ? !sameEndpoint(known.from, stranger) : this.#passing.size >= maxPassing) return this.#drop();
    // Last: the copy that a newcomer sends by TCP takes nothing from those that are passed.
    if (!this.#rate.take(now)) return this.#drop();
    const { issuer } = message;
    this.#passing.set(id, { from: stranger, issuer, length, expires: now + passingLifetime });
    return [sendMesh(issuer, 'join', { b: encodeJoinBody(message) })];
  }

  #onAnswer(exchange: Uint8Array, datagram: Uint8Array, sender: NodeNumber, now: Millis): MeshEffect[] {
    const passing = this.#passing.get(toHex(exchange));
    const answer = decodeJoinDatagram(datagram);
    if (!passing || passing.expires <= now || passing.issuer !== sender) return this.#drop();
    if (!answer || answer.type === JoinType.initiation || datagram.length > passing.length) return this.#drop();
    passing.length = 0; // one answer a message
    return [{ kind: 'sendDatagram', to: passing.from, bytes: datagram }];
  }

  #drop(): MeshEffect[] {
    this.#dropped++;
    return [];
  }
}
