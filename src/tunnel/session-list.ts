import { type Millis, never, second } from '../time.js';
import type { Session } from './session-keys.js';

/** PROTOCOL.md §4: new keys are wanted at 120 s, by who began the session; by the other side if that does not happen. */
const rekeyAfter: Millis = 120 * second;
const responderRekeyAfter: Millis = 135 * second;
/** Nothing is sent or opened with keys of this age. */
const sessionLifetime: Millis = 180 * second;
/** An answer to which no frame came is no use to anybody after this: repeated initiations have ended by then. */
const unconfirmedLifetime: Millis = 30 * second;
/** Sessions confirmed this close together come from crossed handshakes. */
const crossing: Millis = 5 * second;
/**
 * As many as the plane keeps. Two nodes that meet make four within a second: both ask over the overlay, and both along
 * the direct way. The other side may send on any of them, so none may go before the dust settles; and one each for a
 * renewal and for an answer not yet confirmed.
 */
const maxSessions = 6;

/**
 * The sessions of one link, newest first. Old ones are kept for receiving until their time is over, so that a new one
 * costs no packet.
 *
 *     born (initiator) ───────────────┐
 *     born (responder) ─ confirmed ───┴► confirmed ─ 120 s ─► worn ─ 180 s ─► gone
 *          └─ 30 s ─► gone
 */
export class SessionList {
  #sessions: readonly Session[] = [];
  /** Decides when new keys are due: the newest confirmed one, of crossed ones that of the lower number. */
  #primary: Session | undefined;
  /** A lane of the primary, or of one that crossed it, has sent so much that new keys are wanted before their time. */
  #isWorn = false;

  get all(): readonly Session[] {
    return this.#sessions;
  }

  get isLive(): boolean {
    return this.#primary !== undefined;
  }

  find(localIndex: number): Session | undefined {
    return this.#sessions.find((session) => session.localIndex === localIndex);
  }

  /** Adds a new one; the result are those that had to go. */
  add(session: Session): Session[] {
    const kept = [session, ...this.#sessions];
    const gone: Session[] = [];
    while (kept.length > maxSessions) {
      // Keys that others have replaced go first. The newest unconfirmed answer stays: of two handshakes that crossed,
      // each side has the other's among these, and would send on its own into nothing. An older one goes before keys in
      // use: it may have been to a replay.
      const replaced = kept.findLastIndex((other) => other.isConfirmed && other !== this.#primary && other !== session);
      const pending = kept.findLastIndex((other) => !other.isConfirmed && other !== session);
      const least = replaced > 0 ? replaced : pending > 0 ? pending : kept.length - 1;
      gone.push(...kept.splice(least, 1));
    }
    this.#sessions = kept;
    if (session.isConfirmed) this.#confirmed(session);
    this.#forget(gone);
    return gone;
  }

  /** The other side uses it. False when it is unknown or was confirmed before. */
  confirm(localIndex: number): boolean {
    const session = this.find(localIndex);
    if (!session || session.isConfirmed) return false;
    session.isConfirmed = true;
    this.#confirmed(session);
    return true;
  }

  /** Takes out those for which `leaves` is true. */
  remove(leaves: (session: Session) => boolean): Session[] {
    const gone = this.#sessions.filter(leaves);
    this.#sessions = this.#sessions.filter((session) => !gone.includes(session));
    this.#forget(gone);
    return gone;
  }

  /** A lane of this one has sent 2^27 frames. Of crossed ones the plane sends on its newest, which need not be the primary. */
  wear(localIndex: number): void {
    const session = this.find(localIndex);
    if (!session?.isConfirmed || !this.#primary) return;
    if (session.bornAt > this.#primary.bornAt - crossing) this.#isWorn = true;
  }

  /** When to ask for new keys; `jitter` 0 to 1 keeps pairs that began together apart. */
  rekeyAt(jitter: number): Millis {
    if (!this.#primary) return never;
    if (this.#isWorn) return Number.NEGATIVE_INFINITY;
    const after = this.#primary.role === 'initiator' ? rekeyAfter : responderRekeyAfter;
    return this.#primary.bornAt + after + jitter * 5 * second;
  }

  /** When the next one is over. */
  get deadline(): Millis {
    return this.#sessions.reduce((soonest, session) => Math.min(soonest, endOf(session)), never);
  }

  /** Takes out those whose time is over. */
  expire(now: Millis): Session[] {
    return now < this.deadline ? [] : this.remove((session) => endOf(session) <= now);
  }

  #confirmed(session: Session): void {
    const rival = this.#primary;
    const loses =
      rival?.incarnation === session.incarnation &&
      Math.abs(session.bornAt - rival.bornAt) < crossing &&
      rival.isByLower &&
      !session.isByLower;
    if (loses) return;
    this.#primary = session;
    this.#isWorn = false;
  }

  #forget(gone: readonly Session[]): void {
    if (!this.#primary || !gone.includes(this.#primary)) return;
    this.#primary = this.#sessions.find((session) => session.isConfirmed);
    this.#isWorn = false;
  }
}

function endOf(session: Session): Millis {
  return session.bornAt + (session.isConfirmed ? sessionLifetime : unconfirmedLifetime);
}
