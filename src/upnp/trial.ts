import type { Random } from '../random.js';
import { type Millis, never, second } from '../time.js';
import type { Grant, Refusal } from './contract.js';
import type { MappingNews } from './effects.js';
import type { Entry } from './entry.js';
import type { Lease } from './lease.js';
import { mostPorts, portByChance, Question } from './question.js';

/**
 * In seconds. What it takes to be dialled back three times, by a prover that may have dialled as often as it may; and
 * little of a router's table if we are gone before.
 */
const trialLease = 120;

/**
 * Another external port of ours, mapped for a while beside the one that is held:
 *
 *     (none) ── wanted ──► wanted ── asked, nothing else being ──► asked ── granted ──► standing
 *                            ▲                                       │                     │
 *                            └──── given up for something else ◄─────┴─────────────────────┘
 *
 * and from everywhere back to none when it was seen, refused, or its time is over.
 *
 * Behind a NAT that keeps port numbers, our own traffic leaves from the very endpoint that is mapped: who is dialled back there
 * may be let in through the hole it made. From a port drawn by chance nothing of ours ever left, so only a router that
 * forwards lets anything in there.
 */
export class Trial {
  readonly #internalPort: number;
  readonly #random: Random;
  #isWanted = false;
  #asked: Question | undefined;
  #standing: (Entry & { readonly externalAddress: string; readonly until: Millis }) | undefined;

  constructor(internalPort: number, random: Random) {
    this.#internalPort = internalPort;
    this.#random = random;
  }

  want(): void {
    this.#isWanted = true;
  }

  /** Nor is it asked for again where it was given up. */
  unwant(): void {
    this.#isWanted = false;
  }

  /** Without an answer yet. */
  get question(): Question | undefined {
    return this.#asked;
  }

  /** What the router forwards for it, or may. */
  get entry(): Entry | undefined {
    return this.#standing ?? this.#asked;
  }

  /** When it has stood long enough. */
  get until(): Millis {
    return this.#standing?.until ?? never;
  }

  /** That it stands, where it does. */
  get news(): readonly MappingNews[] {
    if (!this.#standing) return [];
    const { externalAddress, externalPort } = this.#standing;
    return [{ kind: 'trialMapped', externalAddress, externalPort }];
  }

  /** To be asked now, when nothing else is. */
  ask(held: Lease, now: Millis): Question | undefined {
    if (!this.#isWanted || this.entry) return undefined;
    return this.#ask(held, held.isPermanent ? 0 : trialLease, 1, now);
  }

  /** What the router may forward for it all the same is to be removed. */
  granted(question: Question, { externalAddress, externalPort }: Grant, held: Lease, now: Millis): Entry | undefined {
    const { gateway } = question;
    this.#asked = undefined;
    // It has one place for our port, and leaves it where it is: nothing can be tried.
    if (externalPort === held.externalPort) {
      this.unwant();
      return question;
    }
    // The renewal waits for the end of the trial: that must come in time.
    const until = Math.min(now + trialLease * second, held.overAt(0.75));
    this.#standing = { gateway, externalPort, externalAddress, until };
    return undefined;
  }

  /** The next question, or undefined: it is over. */
  refused(question: Question, { code }: Refusal, now: Millis): Question | undefined {
    this.#asked = undefined;
    const { ports, request } = question;
    if (code === 'conflict' && ports < mostPorts) return this.#ask(question, request.leaseSeconds, ports + 1, now);
    if (code === 'permanent-only' && request.leaseSeconds !== 0) return this.#ask(question, 0, ports + 1, now);
    this.unwant();
    return undefined;
  }

  /** It gives way to something else, and is wanted still; what stood is to be removed. */
  giveUp(): Entry | undefined {
    const entry = this.#standing;
    this.#standing = this.#asked = undefined;
    return entry;
  }

  /** It has served; what stood is to be removed. */
  end(): Entry | undefined {
    this.unwant();
    const entry = this.#standing;
    this.#standing = undefined;
    return entry;
  }

  #ask({ gateway }: Entry, leaseSeconds: number, ports: number, now: Millis): Question {
    const request = { internalPort: this.#internalPort, externalPort: portByChance(this.#random), leaseSeconds };
    this.#asked = new Question(gateway, request, ports, now);
    return this.#asked;
  }
}
