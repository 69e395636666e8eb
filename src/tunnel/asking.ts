import type { Endpoint } from '../addr/endpoint.js';
import { mac1Of } from '../cookie-reply.js';
import { AgreementKey } from '../crypto.js';
import type { Random } from '../random.js';
import { type Millis, minute, never, second } from '../time.js';
import { Attempt } from './attempt.js';
import { type HandshakeIdentity, type Hello, OutgoingHandshake } from './handshake.js';
import type { Carriage, Path, PlaneCommand } from './plane/contract.js';

const cookieLifetime: Millis = 2 * minute;
/**
 * Our tuning: an answer to what was asked before it was asked anew counts for so long. Under load answers take a
 * second.
 */
const supersededLifetime: Millis = 5 * second;

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
 * The handshakes we began with one peer, and the cookie that it wants with them. A way through relays is asked for
 * while the direct one is still tried: at most one handshake of each kind, and one whose place it took. That one sends
 * no more, but an answer to it may be on its way, and is as good: were it refused, who is asked anew faster than a
 * loaded peer answers would never be answered.
 *
 *     begin ──► attempt ──answered──► the caller's
 *                  │ begin anew               ▲
 *                  └────► superseded ─answered┘
 *                             └─ 5 s, or another session stands ─► (none)
 */
export class Asking {
  readonly #host: AskingHost;
  readonly #publicKey: Uint8Array;
  readonly #attempts = new Map<Carriage['kind'], Attempt>();
  readonly #superseded = new Map<Carriage['kind'], { readonly attempt: Attempt; readonly until: Millis }>();
  #cookie: { readonly octets: Uint8Array; readonly until: Millis } | undefined;

  /** `publicKey`: the peer's. */
  constructor(host: AskingHost, publicKey: Uint8Array) {
    this.#host = host;
    this.#publicKey = publicKey;
  }

  get isIdle(): boolean {
    return this.#attempts.size === 0 && this.#superseded.size === 0;
  }

  has(way: Carriage['kind']): boolean {
    return this.#attempts.has(way);
  }

  get deadline(): Millis {
    let soonest: Millis = never;
    for (const attempt of this.#attempts.values()) soonest = Math.min(soonest, attempt.deadline);
    for (const { until } of this.#superseded.values()) soonest = Math.min(soonest, until);
    return soonest;
  }

  /** Begins a handshake, in the place of one that is under way along such paths; an answer to that one still counts. */
  begin(
    purpose: Attempt['purpose'],
    way: Carriage['kind'],
    paths: readonly Path[],
    observed: Endpoint | undefined,
    now: Millis,
  ): void {
    this.#supersede(way, now);
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
    for (const [way, { until }] of this.#superseded) if (until <= now) this.#forget(way);
    this.send(now);
  }

  /** Reads a response to a handshake under way; undefined when it is none. */
  read(receiverIndex: number, datagram: Uint8Array): Response | undefined {
    const superseded = [...this.#superseded].map(([way, { attempt }]) => [way, attempt] as const);
    for (const [way, attempt] of [...this.#attempts, ...superseded]) {
      if (attempt.handshake.localIndex !== receiverIndex) continue;
      const read = attempt.handshake.readResponse(datagram);
      return read && { ...read, way, attempt };
    }
    return undefined;
  }

  /**
   * It was answered well, from there: its keys and its index are the caller's now. What took its place goes on only if
   * it asks for something else: a way elsewhere.
   */
  settle({ way, attempt }: Response, from: Path): void {
    const current = this.#attempts.get(way);
    if (current === attempt) {
      this.#attempts.delete(way);
      this.#forget(way);
      return;
    }
    this.#superseded.delete(way);
    const isServed = attempt.purpose === 'dial' ? current?.asksAlong(from) : current?.purpose === 'rekey';
    if (isServed) this.end(way);
  }

  /** Ends a handshake, and the one whose place it took, without a word. */
  end(way: Carriage['kind']): void {
    const attempt = this.#attempts.get(way);
    this.#attempts.delete(way);
    if (attempt) this.#drop(attempt);
    this.#forget(way);
  }

  #supersede(way: Carriage['kind'], now: Millis): void {
    const attempt = this.#attempts.get(way);
    if (!attempt) return;
    this.#attempts.delete(way);
    // Of several the first stays: its answer comes first, however fast it is asked anew.
    if (this.#superseded.has(way)) this.#drop(attempt);
    else this.#superseded.set(way, { attempt, until: now + supersededLifetime });
  }

  #forget(way: Carriage['kind']): void {
    const superseded = this.#superseded.get(way);
    this.#superseded.delete(way);
    if (superseded) this.#drop(superseded.attempt);
  }

  #drop(attempt: Attempt): void {
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
