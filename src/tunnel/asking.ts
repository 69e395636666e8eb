import type { Endpoint } from '../addr/endpoint.js';
import { mac1Of } from '../cookie-reply.js';
import { AgreementKey } from '../crypto.js';
import type { Random } from '../random.js';
import { type Millis, minute, never, second } from '../time.js';
import { Attempt } from './attempt.js';
import { type HandshakeIdentity, type Hello, OutgoingHandshake } from './handshake.js';
import type { Carriage, Path } from './plane/contract.js';
import type { Through } from './through.js';

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
  send(to: Through, bytes: Uint8Array): void;
  /** A dial ended in nothing; never said of a rekey. */
  dialFailed(via: Carriage['kind'], reason: string): void;
}

/** What was read of an answer to a handshake of ours. */
export interface Response {
  readonly hello: Hello;
  readonly remoteIndex: number;
  readonly attempt: Attempt;
}

/**
 * The handshakes we began with one peer, and the cookie that it wants with them. A way through relays is asked for
 * while the direct one is still tried, and new keys while a dial looks for another way: at most one handshake of each
 * kind, and one whose place it took. That one sends no more, but an answer to it may be on its way, and is as good: were
 * it refused, who is asked anew faster than a loaded peer answers would never be answered.
 *
 *     begin ──► attempt ──answered──► the caller's
 *                  │ begin anew               ▲
 *                  └────► superseded ─answered┘
 *                             └─ 5 s, or another session stands ─► (none)
 */
export class Asking {
  readonly #host: AskingHost;
  readonly #publicKey: Uint8Array;
  readonly #attempts = new Set<Attempt>();
  /** And until when an answer to them counts. */
  readonly #superseded = new Map<Attempt, Millis>();
  #cookie: { readonly octets: Uint8Array; readonly until: Millis } | undefined;

  /** `publicKey`: the peer's. */
  constructor(host: AskingHost, publicKey: Uint8Array) {
    this.#host = host;
    this.#publicKey = publicKey;
  }

  get isIdle(): boolean {
    return this.#attempts.size === 0 && this.#superseded.size === 0;
  }

  has(way: Carriage['kind'], purpose?: Attempt['purpose']): boolean {
    return [...this.#attempts].some(
      (attempt) => attempt.way === way && (purpose === undefined || attempt.purpose === purpose),
    );
  }

  get deadline(): Millis {
    let soonest: Millis = never;
    for (const attempt of this.#attempts) soonest = Math.min(soonest, attempt.deadline);
    for (const until of this.#superseded.values()) soonest = Math.min(soonest, until);
    return soonest;
  }

  /**
   * Begins a handshake, in the place of one of its kind that is under way; an answer to that one still counts. `renews`: a
   * session that the other side most likely has, and that can carry it.
   */
  begin(
    purpose: Attempt['purpose'],
    way: Carriage['kind'],
    paths: readonly Path[],
    observed: Endpoint | undefined,
    now: Millis,
    renews = false,
  ): void {
    this.#supersede(purpose, way, now);
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
      handshake.wipe();
      this.#host.dialFailed(way, 'its public key is not a valid one');
      return;
    }
    this.#host.expectCookie(mac1Of(datagram));
    this.#attempts.add(new Attempt(purpose, way, handshake, paths, this.#host.random, now, renews));
    this.send(now);
  }

  /** Whether a direct way is being asked for there. */
  dialsAlong(from: Path): boolean {
    return this.#alike('dial', 'direct').some((attempt) => attempt.asksAlong(from));
  }

  /** Sends what is due. */
  send(now: Millis): void {
    for (const attempt of this.#attempts) {
      for (const { to, bytes } of attempt.send(now, this.cookieAt(now))) this.#host.send(to, bytes);
    }
  }

  /** Ends those that nobody answered; then sends what is due. */
  tick(now: Millis): void {
    for (const attempt of [...this.#attempts]) {
      if (!attempt.hasFailed(now)) continue;
      this.#drop(attempt);
      if (attempt.purpose === 'dial') this.#host.dialFailed(attempt.way, 'no answer');
    }
    for (const [attempt, until] of this.#superseded) if (until <= now) this.#drop(attempt);
    this.send(now);
  }

  /** Reads a response to a handshake under way; undefined when it is none. */
  read(receiverIndex: number, datagram: Uint8Array): Response | undefined {
    for (const attempt of this.#all()) {
      if (attempt.handshake.localIndex !== receiverIndex) continue;
      const read = attempt.handshake.readResponse(datagram);
      return read && { ...read, attempt };
    }
    return undefined;
  }

  /**
   * It was answered well, from there: its keys and its index are the caller's now. What took its place goes on only if
   * it asks for something else: a way elsewhere.
   */
  settle({ attempt }: Response, from: Path): void {
    const others = this.#alike(attempt.purpose, attempt.way).filter((other) => other !== attempt);
    const isNewest = this.#attempts.delete(attempt);
    this.#superseded.delete(attempt);
    for (const other of others) {
      if (isNewest || attempt.purpose === 'rekey' || other.asksAlong(from)) this.#drop(other);
    }
  }

  /** Ends the handshakes along this way, or those of them for this, and those whose place they took, without a word. */
  end(way: Carriage['kind'], purpose?: Attempt['purpose']): void {
    for (const attempt of this.#all()) {
      if (attempt.way === way && (purpose === undefined || attempt.purpose === purpose)) this.#drop(attempt);
    }
  }

  #supersede(purpose: Attempt['purpose'], way: Carriage['kind'], now: Millis): void {
    const alike = this.#alike(purpose, way);
    const current = alike.find((attempt) => this.#attempts.has(attempt));
    if (!current) return;
    this.#attempts.delete(current);
    // Of several the first stays: its answer comes first, however fast it is asked anew.
    if (alike.length > 1) this.#drop(current);
    else this.#superseded.set(current, now + supersededLifetime);
  }

  /** The one under way and the one whose place it took. */
  #alike(purpose: Attempt['purpose'], way: Carriage['kind']): Attempt[] {
    return this.#all().filter((attempt) => attempt.purpose === purpose && attempt.way === way);
  }

  #all(): Attempt[] {
    return [...this.#attempts, ...this.#superseded.keys()];
  }

  #drop(attempt: Attempt): void {
    this.#attempts.delete(attempt);
    this.#superseded.delete(attempt);
    this.#host.giveIndexBack(attempt.handshake.localIndex);
    attempt.wipe();
  }

  /** Ends them as `end` does and tells who asked: each dial ends in something standing or in `dialFailed`. */
  giveUp(way: Carriage['kind'], reason: string, purpose?: Attempt['purpose']): void {
    const isDial = purpose !== 'rekey' && this.has(way, 'dial');
    this.end(way, purpose);
    if (isDial) this.#host.dialFailed(way, reason);
  }

  /** Ends the asking for new keys along what was the way; true when there was any. */
  endRekeys(): boolean {
    const rekeys = this.#all().filter(({ purpose }) => purpose === 'rekey');
    for (const rekey of rekeys) this.#drop(rekey);
    return rekeys.length > 0;
  }

  /** Our own network is another: what was lost before may arrive now. */
  startOver(now: Millis): void {
    for (const attempt of this.#attempts) attempt.startOver(now);
    this.send(now);
  }

  /** A cookie for the datagram with this mac1; one of ours that waits for it goes out again. */
  cookieCame(octets: Uint8Array, mac1: Uint8Array, now: Millis): void {
    this.#cookie = { octets, until: now + cookieLifetime };
    for (const attempt of this.#attempts) attempt.hurry(mac1, now);
    this.send(now);
  }

  /** The cookie to send with handshakes now, if there is one. */
  cookieAt(now: Millis): Uint8Array | undefined {
    return this.#cookie && now < this.#cookie.until ? this.#cookie.octets : undefined;
  }
}
