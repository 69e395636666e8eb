import { equalBytes } from '../bytes.js';
import type { Hello } from './handshake.js';
import type { Session } from './session-keys.js';
import type { Through } from './through.js';

/** An answer we gave: repeated when the same initiation comes again, acted upon when its session is confirmed. */
export interface Answer<Certificate> {
  readonly session: Session;
  /** The response without macs, and where it goes. */
  readonly body: Uint8Array;
  to: Through;
  /** mac1 of the response. */
  readonly mac1: Uint8Array;
  readonly hello: Hello;
  readonly certificate: Certificate;
  /** Every worker of the plane holds the session: not before is it sent, as frames of the new keys that come sooner would be lost. */
  isReady: boolean;
}

/** Our answers to one peer, by mac1 (in hex) of the initiation; kept as long as their sessions, so no more than those. */
export class GivenAnswers<Certificate> {
  readonly #answers = new Map<string, Answer<Certificate>>();

  get(initiation: string): Answer<Certificate> | undefined {
    return this.#answers.get(initiation);
  }

  add(initiation: string, answer: Answer<Certificate>): void {
    this.#answers.set(initiation, answer);
  }

  /** The one whose session has this index here. */
  withIndex(localIndex: number): Answer<Certificate> | undefined {
    return [...this.#answers.values()].find(({ session }) => session.localIndex === localIndex);
  }

  /** The one that was sent with this mac1. */
  sentWith(mac1: Uint8Array): Answer<Certificate> | undefined {
    return [...this.#answers.values()].find((answer) => equalBytes(answer.mac1, mac1));
  }

  /** Forgets those of a session; the initiations they were for. */
  forget(session: Session): string[] {
    const over = [...this.#answers]
      .filter(([, answer]) => answer.session === session)
      .map(([initiation]) => initiation);
    for (const initiation of over) this.#answers.delete(initiation);
    return over;
  }
}
