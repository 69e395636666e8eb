import type { Endpoint } from '../addr/endpoint.js';
import { mac1Of } from '../cookie-reply.js';
import { AgreementKey } from '../crypto.js';
import type { Random } from '../random.js';
import { type Millis, minute, never } from '../time.js';
import { Attempt } from './attempt.js';
import { type HandshakeIdentity, type Hello, OutgoingHandshake } from './handshake.js';
import type { Carriage, Path, PlaneCommand } from './plane/contract.js';

const cookieLifetime: Millis = 2 * minute;

/** What asking one peer needs. */
export interface AskingHost {
  readonly identity: HandshakeIdentity;
  readonly random: Random;
  /** Our side of the hello. */
  hello(observed: Endpoint | undefined): Hello;
  takeIndex(): number;
  giveIndexBack(index: number): void;
  /** A cookie reply to the datagram with this mac1 is to come here. */
  expectCookie(mac1: Uint8Array): void;
  command(command: PlaneCommand): void;
  /** A dial ended in nothing; never said of a rekey. */
  dialFailed(via: Carriage['kind'], reason: string): void;
}

/** What was read of an answer to a handshake of ours. */
export interface Response {
  readonly hello: Hello;
  readonly remoteIndex: number;
  readonly way: Carriage['kind'];
  readonly attempt: Attempt;
}

/**
 * The handshakes we began with one peer, and the cookie that it wants with them. A way through relays is asked for while the
 * direct one is still tried: at most one handshake of each kind.
 */
export class Asking {
  readonly #host: AskingHost;
  readonly #publicKey: Uint8Array;
  readonly #attempts = new Map<Carriage['kind'], Attempt>();
  #cookie: { readonly octets: Uint8Array; readonly until: Millis } | undefined;

  /** `publicKey`: the peer's. */
  constructor(host: AskingHost, publicKey: Uint8Array) {
    this.#host = host;
    this.#publicKey = publicKey;
  }

  get isIdle(): boolean {
    return this.#attempts.size === 0;
  }

  has(way: Carriage['kind']): boolean {
    return this.#attempts.has(way);
  }

  get deadline(): Millis {
    let soonest: Millis = never;
    for (const attempt of this.#attempts.values()) soonest = Math.min(soonest, attempt.deadline);
    return soonest;
  }

  /** Begins a handshake, in the place of one that is under way along such paths. */
  begin(
    purpose: Attempt['purpose'],
    way: Carriage['kind'],
    paths: readonly Path[],
    observed: Endpoint | undefined,
    now: Millis,
  ): void {
    this.end(way);
    const ephemeral = AgreementKey.ephemeral(this.#host.random);
    const handshake = new OutgoingHandshake(
      this.#host.identity,
      ephemeral,
      this.#publicKey,
      this.#host.takeIndex(),
      this.#host.hello(observed),
    );
    const datagram = handshake.datagram();
    if (!datagram) {
      this.#host.giveIndexBack(handshake.localIndex);
      this.#host.dialFailed(way, 'its public key is not a valid one');
      return;
    }
    this.#host.expectCookie(mac1Of(datagram));
    this.#attempts.set(way, new Attempt(purpose, handshake, paths, this.#host.random, now));
    this.send(now);
  }

  /** Sends what is due. */
  send(now: Millis): void {
    for (const attempt of this.#attempts.values()) {
      for (const command of attempt.send(now, this.cookieAt(now))) this.#host.command(command);
    }
  }

  /** Ends those that nobody answered; then sends what is due. */
  tick(now: Millis): void {
    for (const [way, attempt] of [...this.#attempts]) {
      if (attempt.hasFailed(now)) this.giveUp(way, 'no answer');
    }
    this.send(now);
  }

  /** Reads a response to a handshake under way; undefined when it is none. */
  read(receiverIndex: number, datagram: Uint8Array): Response | undefined {
    for (const [way, attempt] of this.#attempts) {
      if (attempt.handshake.localIndex !== receiverIndex) continue;
      const read = attempt.handshake.readResponse(datagram);
      return read && { ...read, way, attempt };
    }
    return undefined;
  }

  /** It was answered well: its keys and its index are the caller's now. */
  settle({ way }: Response): void {
    this.#attempts.delete(way);
  }

  /** Ends a handshake without a word. */
  end(way: Carriage['kind']): void {
    const attempt = this.#attempts.get(way);
    if (!attempt) return;
    this.#attempts.delete(way);
    this.#host.giveIndexBack(attempt.handshake.localIndex);
    attempt.wipe();
  }

  /** Ends it and tells who asked: each dial ends in something standing or in `dialFailed`. */
  giveUp(way: Carriage['kind'], reason: string): void {
    const attempt = this.#attempts.get(way);
    this.end(way);
    if (attempt?.purpose === 'dial') this.#host.dialFailed(way, reason);
  }

  /** Ends the asking for new keys along what was the way; true when there was any. */
  endRekeys(): boolean {
    const rekeys = [...this.#attempts].filter(([, attempt]) => attempt.purpose === 'rekey');
    for (const [way] of rekeys) this.end(way);
    return rekeys.length > 0;
  }

  /** Our own network is another: what was lost before may arrive now. */
  startOver(now: Millis): void {
    for (const attempt of this.#attempts.values()) attempt.startOver(now);
    this.send(now);
  }

  /** A cookie for the datagram with this mac1; one of ours that waits for it goes out again. */
  cookieCame(octets: Uint8Array, mac1: Uint8Array, now: Millis): void {
    this.#cookie = { octets, until: now + cookieLifetime };
    for (const attempt of this.#attempts.values()) attempt.hurry(mac1, now);
    this.send(now);
  }

  /** The cookie to send with handshakes now, if there is one. */
  cookieAt(now: Millis): Uint8Array | undefined {
    return this.#cookie && now < this.#cookie.until ? this.#cookie.octets : undefined;
  }
}
