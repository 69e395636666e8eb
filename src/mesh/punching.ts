import { type Endpoint, sameEndpoint } from '../addr/endpoint.js';
import type { FieldMap } from '../addr/fields.js';
import type { NodeNumber } from '../addr/node-number.js';
import { equalBytes } from '../bytes.js';
import type { Machine } from '../machine.js';
import type { Random } from '../random.js';
import { type Millis, minute, never, second } from '../time.js';
import { isSymmetric, type PunchSide, whyNoPunch } from './nat-class.js';
import {
  decodePunch,
  encodePunch,
  mostPunchEndpoints,
  type PunchMessage,
  type PunchTerms,
} from './punching-message.js';
import { canSendOver, commonAddress, worthDialling } from './reachability-candidates.js';

export type PunchingEvent =
  /** A direct tunnel to this node is wanted; it is reached through relays meanwhile. */
  | { readonly kind: 'directWanted'; readonly node: NodeNumber }
  | { readonly kind: 'directUnwanted'; readonly node: NodeNumber }
  | { readonly kind: 'tunnelUp'; readonly node: NodeNumber }
  | { readonly kind: 'tunnelDown'; readonly node: NodeNumber }
  /** How we may be reached: best first, and what our NAT does. After a change, what failed is tried again. */
  | { readonly kind: 'sideChanged'; readonly endpoints: readonly Endpoint[]; readonly side: PunchSide }
  /** One of `punchTypes`. `admitted`: we want another tunnel, should it ask for one. */
  | {
      readonly kind: 'messageReceived';
      readonly from: NodeNumber;
      readonly message: FieldMap;
      readonly admitted: boolean;
    };

export type PunchingEffect =
  | { readonly kind: 'sendMesh'; readonly to: NodeNumber; readonly bytes: Uint8Array }
  /** One datagram of type punch from the socket the tunnels use; `body` follows the type octet, 8 octets. */
  | { readonly kind: 'sendPunch'; readonly to: Endpoint; readonly body: Uint8Array }
  /** Begin a handshake with this node along all of these at once. */
  | { readonly kind: 'dial'; readonly node: NodeNumber; readonly endpoints: readonly Endpoint[] }
  /** It stays relayed for now; in words, for `why` and `peers`. */
  | { readonly kind: 'punchFailed'; readonly node: NodeNumber; readonly reason: string };

/** Our tuning. */
/** When the answering side punches, after "go": early and dense while both NATs are fresh, later for what was lost. */
const punchTimes: readonly Millis[] = [0, 60, 150, 400, 1000];
/** Never more than these in a minute, whatever is wanted and whoever asks. */
export const punchesPerMinute = 240;
export const dialsPerMinute = 30;
/** Exchanges another node may begin with us in a minute: each makes us send where that node says. */
const offersPerNode = 3;
/** So that a change of ours, and the many small ones after a start, stay below that. */
const offerPause: Millis = 20 * second;
/** Messages through relays get lost while routes and sessions settle: an offer is repeated, with the same exchange. */
const offerTimes = 4;
const offerWait: Millis = second;
/** Without "go" for so long the answering side acts all the same: the other one most likely does. */
const goWait: Millis = second;
const tunnelPatience: Millis = 4 * second;
const firstRetry: Millis = 15 * second;
const lastRetry: Millis = 10 * minute;
export const mostTries = 128;

type Stage = 'waiting' | 'offered' | 'answered' | 'acting' | 'direct';

interface Try {
  readonly node: NodeNumber;
  wanted: boolean;
  stage: Stage;
  exchange: Uint8Array;
  /** The other side's endpoints worth a datagram. */
  targets: readonly Endpoint[];
  /** When this stage began, and when something is due in it. */
  since: Millis;
  dueAt: Millis;
  /** The other side's NAT, as it says itself. */
  isOtherSymmetric: boolean;
  /** While acting: we dial and the other side punches, or the other way round. */
  dials: boolean;
  /** While acting: how many times we have sent. */
  rounds: number;
  /** While acting: the budget did not allow all of it. */
  isHeldBack: boolean;
  retries: number;
  /** When we began the last exchange. */
  offeredAt: Millis;
  /** When the other side began exchanges in the last minute. */
  offers: Millis[];
}

/**
 * Arranges direct tunnels between nodes that reach each other through relays.
 *
 *   asking:     waiting ──"punch"──► offered ──"punchback" heard, "punchgo" sent──┐
 *                                                                                ├──► acting ──tunnelUp──► direct
 *   answering:  waiting ──"punch" heard, "punchback" sent──► answered ──"punchgo"┘
 *   either: no tunnel in time, or "punchno" ──► waiting, 15 s … 10 min, or until our side changes
 *
 * Both leave their NATs at one moment (half a round trip after "go" was sent), before either's datagram arrives: what comes
 * in uncalled makes some NATs take the port away, or shut it. One of them dials, the other opens its NAT with punches: a side
 * behind a symmetric NAT must dial, as only its datagrams show from where it comes; else the asking one does. Who punches
 * dials as well when a second has brought nothing: it may not know that its own NAT is symmetric.
 */
export class Punching implements Machine<PunchingEvent, PunchingEffect> {
  readonly #node: NodeNumber;
  readonly #random: Random;
  readonly #tries = new Map<NodeNumber, Try>();
  /** Nodes with a direct tunnel: there is nothing to arrange with them. */
  readonly #direct = new Set<NodeNumber>();
  #endpoints: readonly Endpoint[] = [];
  #side: PunchSide = { open: [], nat: { mapping: undefined, filtering: undefined } };
  readonly #punchBudget: Budget;
  readonly #dialBudget = new Budget(dialsPerMinute);
  readonly #isDiallable: (endpoint: Endpoint) => boolean;

  /**
   * `node` is our own number: of two who ask each other at once, the lower one's exchange goes on. `isDiallable`: whether an
   * endpoint that another node names may be sent to at all. `mostPunches`: in a minute; for tests another than the usual.
   */
  constructor(
    node: NodeNumber,
    random: Random,
    isDiallable: (endpoint: Endpoint) => boolean,
    mostPunches = punchesPerMinute,
  ) {
    this.#punchBudget = new Budget(mostPunches);
    this.#isDiallable = isDiallable;
    this.#node = node;
    this.#random = random;
  }

  handle(event: PunchingEvent, now: Millis): PunchingEffect[] {
    switch (event.kind) {
      case 'directWanted':
        return this.#want(event.node, now);
      case 'directUnwanted':
        this.#unwant(event.node);
        return [];
      case 'tunnelUp':
        this.#direct.add(event.node);
        this.#settle(event.node);
        return [];
      case 'tunnelDown':
        this.#direct.delete(event.node);
        return this.#lost(event.node, now);
      case 'sideChanged':
        return this.#sideChanged(event.endpoints, event.side, now);
      case 'messageReceived': {
        const message = decodePunch(event.message);
        return message ? this.#onMessage(event.from, message, event.admitted, now) : [];
      }
    }
  }

  tick(now: Millis): PunchingEffect[] {
    const effects: PunchingEffect[] = [];
    for (const attempt of [...this.#tries.values()]) {
      if (now >= attempt.dueAt) effects.push(...this.#due(attempt, now));
    }
    return effects;
  }

  deadline(): Millis {
    let earliest = never;
    for (const { dueAt } of this.#tries.values()) earliest = Math.min(earliest, dueAt);
    return earliest;
  }

  /** Whether we have sent to this node lately, or may any moment, on our own account. */
  isArranging(node: NodeNumber): boolean {
    return this.#tries.has(node);
  }

  #want(node: NodeNumber, now: Millis): PunchingEffect[] {
    const attempt = this.#tryWith(node);
    if (!attempt)
      return [{ kind: 'punchFailed', node, reason: `with ${mostTries} other nodes it is being tried already` }];
    if (attempt.wanted) return [];
    attempt.wanted = true;
    if (this.#direct.has(node)) this.#settle(node);
    // What has failed before waits for its time, though it was not wanted meanwhile.
    const isDue = now >= attempt.dueAt || attempt.offeredAt === Number.NEGATIVE_INFINITY;
    return attempt.stage === 'waiting' && isDue ? this.#offer(attempt, now) : [];
  }

  #unwant(node: NodeNumber): void {
    const attempt = this.#tries.get(node);
    if (!attempt) return;
    attempt.wanted = false;
    // What waits goes when it would have been tried again, or when its place is needed: until then it paces the next want.
    if (attempt.stage === 'waiting' && attempt.dueAt === never) this.#tries.delete(node);
  }

  #settle(node: NodeNumber): void {
    const attempt = this.#tries.get(node);
    if (!attempt) return;
    attempt.stage = 'direct';
    attempt.retries = 0;
    attempt.dueAt = never;
    if (!attempt.wanted) this.#tries.delete(node);
  }

  #lost(node: NodeNumber, now: Millis): PunchingEffect[] {
    const attempt = this.#tries.get(node);
    if (attempt?.stage !== 'direct') return [];
    return this.#offer(attempt, now);
  }

  #sideChanged(endpoints: readonly Endpoint[], side: PunchSide, now: Millis): PunchingEffect[] {
    this.#endpoints = endpoints;
    this.#side = side;
    for (const attempt of this.#tries.values()) {
      if (attempt.stage !== 'waiting' || !attempt.wanted) continue;
      attempt.retries = 0;
      attempt.dueAt = Math.max(now, attempt.offeredAt + offerPause);
    }
    return this.tick(now);
  }

  #tryWith(node: NodeNumber): Try | undefined {
    const known = this.#tries.get(node);
    if (known) return known;
    if (this.#tries.size >= mostTries) {
      const spare = [...this.#tries.values()].find(({ stage, wanted }) => stage === 'waiting' && !wanted);
      if (!spare) return undefined;
      this.#tries.delete(spare.node);
    }
    const exchange = new Uint8Array(8);
    const attempt: Try = {
      node,
      wanted: false,
      stage: 'waiting',
      exchange,
      targets: [],
      isOtherSymmetric: false,
      since: 0,
      dueAt: never,
      dials: false,
      rounds: 0,
      isHeldBack: false,
      retries: 0,
      offeredAt: Number.NEGATIVE_INFINITY,
      offers: [],
    };
    this.#tries.set(node, attempt);
    return attempt;
  }

  #offer(attempt: Try, now: Millis): PunchingEffect[] {
    attempt.exchange = this.#random.bytes(8);
    attempt.offeredAt = now;
    this.#enter(attempt, 'offered', now, offerWait);
    return [this.#say(attempt, 'offer')];
  }

  #enter(attempt: Try, stage: Stage, now: Millis, patience: Millis): void {
    attempt.stage = stage;
    attempt.since = now;
    attempt.dueAt = now + patience;
    attempt.rounds = 0;
    attempt.isHeldBack = false;
  }

  #say(attempt: Try, kind: 'offer' | 'answer'): PunchingEffect {
    const { node, exchange } = attempt;
    const bytes = encodePunch({ kind, exchange, endpoints: this.#endpoints, side: this.#side });
    return { kind: 'sendMesh', to: node, bytes };
  }

  #onMessage(from: NodeNumber, message: PunchMessage, admitted: boolean, now: Millis): PunchingEffect[] {
    if (message.kind === 'offer') return this.#onOffer(from, message, admitted, now);
    const attempt = this.#tries.get(from);
    if (!attempt || !equalBytes(attempt.exchange, message.exchange)) return [];
    switch (message.kind) {
      case 'answer':
        return attempt.stage === 'offered' ? this.#onAnswer(attempt, message, now) : [];
      case 'go':
        if (attempt.stage !== 'answered') return [];
        this.#enter(attempt, 'acting', now, 0);
        return this.#act(attempt, now);
      case 'no': {
        if (attempt.stage !== 'offered') return [];
        const busy = 'the other side has too many to arrange just now';
        return this.#fail(attempt, message.reason === 'busy' ? busy : 'the NATs of both sides do not allow it', now);
      }
    }
  }

  #onOffer(from: NodeNumber, offer: PunchTerms, admitted: boolean, now: Millis): PunchingEffect[] {
    const { exchange } = offer;
    const refuse = (reason: 'hopeless' | 'busy'): PunchingEffect[] => [
      { kind: 'sendMesh', to: from, bytes: encodePunch({ kind: 'no', exchange, reason }) },
    ];
    // Sent before the tunnel stood; the other side knows by now.
    if (this.#direct.has(from)) return [];
    if (!admitted) return refuse('busy');
    const attempt = this.#tryWith(from);
    if (!attempt) return refuse('busy');
    // Both asked at once: the lower number's exchange goes on. That the other one asks may mean that it has not heard.
    if ((attempt.stage === 'offered' || attempt.stage === 'acting') && this.#node < from) {
      return attempt.stage === 'offered' ? [this.#say(attempt, 'offer')] : [];
    }
    if (attempt.stage === 'answered' && equalBytes(attempt.exchange, exchange)) return [this.#say(attempt, 'answer')];
    if (attempt.stage === 'acting' && equalBytes(attempt.exchange, exchange)) return [];
    attempt.offers = attempt.offers.filter((at) => at > now - minute);
    if (attempt.offers.length >= offersPerNode) return refuse('busy');
    const targets = this.#targets(offer.endpoints);
    const reason = this.#spent(punchTimes.length * targets.length, now);
    if (reason !== undefined) {
      if (attempt.stage === 'waiting' && !attempt.wanted) attempt.dueAt = now + minute;
      return [...refuse('busy'), { kind: 'punchFailed', node: from, reason }];
    }
    attempt.offers.push(now);
    const hopeless = this.#whyHopeless(offer);
    if (hopeless !== undefined) return [...refuse('hopeless'), ...this.#fail(attempt, hopeless, now)];
    attempt.exchange = exchange;
    attempt.targets = targets;
    attempt.isOtherSymmetric = isSymmetric(offer.side);
    attempt.dials = isSymmetric(this.#side) && !isSymmetric(offer.side);
    this.#enter(attempt, 'answered', now, goWait);
    return [this.#say(attempt, 'answer')];
  }

  #whyHopeless({ side, endpoints }: PunchTerms): string | undefined {
    const getsIn = canSendOver(this.#side.open, endpoints) || canSendOver(side.open, this.#endpoints);
    return getsIn ? undefined : whyNoPunch(this.#side, side);
  }

  /** Why an exchange of so many punches may not begin now. */
  #spent(punches: number, now: Millis): string | undefined {
    if (this.#dialBudget.left(now) === 0) return spentBudget(this.#dialBudget, 'dials after a punch');
    return this.#punchBudget.left(now) < punches ? spentBudget(this.#punchBudget, 'hole punches') : undefined;
  }

  #onAnswer(attempt: Try, answer: PunchTerms, now: Millis): PunchingEffect[] {
    const hopeless = this.#whyHopeless(answer);
    if (hopeless !== undefined) return this.#fail(attempt, hopeless, now);
    attempt.targets = this.#targets(answer.endpoints);
    if (attempt.targets.length === 0) return this.#fail(attempt, 'it has told no endpoint that we could reach', now);
    attempt.isOtherSymmetric = isSymmetric(answer.side);
    attempt.dials = isSymmetric(this.#side) || !attempt.isOtherSymmetric;
    const halfRoundTrip = (now - attempt.since) / 2;
    this.#enter(attempt, 'acting', now + halfRoundTrip, 0);
    const { node, exchange } = attempt;
    return [{ kind: 'sendMesh', to: node, bytes: encodePunch({ kind: 'go', exchange }) }];
  }

  #targets(endpoints: readonly Endpoint[]): Endpoint[] {
    return worthDialling(endpoints, this.#endpoints)
      .filter((endpoint) => this.#isDiallable(endpoint) && !this.#endpoints.some((own) => sameEndpoint(own, endpoint)))
      .slice(0, mostPunchEndpoints);
  }

  #due(attempt: Try, now: Millis): PunchingEffect[] {
    switch (attempt.stage) {
      case 'waiting':
        if (attempt.wanted) return this.#offer(attempt, now);
        this.#tries.delete(attempt.node);
        return [];
      case 'offered':
        if (++attempt.rounds === offerTimes) return this.#fail(attempt, 'it does not answer', now);
        attempt.since = now;
        attempt.dueAt = now + offerWait;
        return [this.#say(attempt, 'offer')];
      case 'answered':
        this.#enter(attempt, 'acting', now, 0);
        return this.#act(attempt, now);
      case 'acting':
        return this.#act(attempt, now);
      case 'direct':
        return [];
    }
  }

  #act(attempt: Try, now: Millis): PunchingEffect[] {
    const { node, targets, since, rounds } = attempt;
    const times = attempt.dials ? [0] : punchTimes;
    if (rounds === times.length) return this.#fail(attempt, this.#whyNothingCame(attempt), now);
    attempt.rounds++;
    const effects = attempt.dials ? [] : this.#punches(attempt, now);
    const next = times[attempt.rounds];
    attempt.dueAt = next === undefined ? now + tunnelPatience : since + next;
    if (next !== undefined || targets.length === 0 || !this.#dialBudget.take(now)) return effects;
    return [...effects, { kind: 'dial', node, endpoints: targets }];
  }

  #whyNothingCame({ isOtherSymmetric, isHeldBack, targets }: Try): string {
    if (isHeldBack) return spentBudget(this.#punchBudget, 'hole punches');
    const symmetric = Number(isSymmetric(this.#side)) + Number(isOtherSymmetric);
    const nothing = 'no datagram got through from either side';
    const common = commonAddress(targets, this.#endpoints);
    if (common !== undefined)
      return `${nothing}: both stand behind ${common}, which lets nothing back in (no hairpinning)`;
    if (symmetric === 0) return nothing;
    const whose = symmetric === 2 ? 'both NATs are' : isOtherSymmetric ? 'the other NAT is' : 'the NAT here is';
    return `${nothing}: ${whose} symmetric, with another port for every destination`;
  }

  #punches(attempt: Try, now: Millis): PunchingEffect[] {
    const effects: PunchingEffect[] = [];
    for (const to of attempt.targets) {
      if (this.#punchBudget.take(now)) effects.push({ kind: 'sendPunch', to, body: attempt.exchange });
      else attempt.isHeldBack = true;
    }
    return effects;
  }

  #fail(attempt: Try, reason: string, now: Millis): PunchingEffect[] {
    attempt.stage = 'waiting';
    const wait = Math.min(lastRetry, firstRetry * 2 ** Math.min(attempt.retries++, 8));
    // What nobody here wants is kept only to count the other side's offers.
    attempt.dueAt = now + (attempt.wanted ? wait * (0.75 + 0.5 * this.#random.unit()) : minute);
    return [{ kind: 'punchFailed', node: attempt.node, reason }];
  }
}

function spentBudget({ most }: Budget, what: string): string {
  return `this node may send no more than ${most} ${what} a minute, and has`;
}

/** So many of something in any minute, and not one more. */
class Budget {
  readonly most: number;
  #taken: Millis[] = [];

  constructor(most: number) {
    this.most = most;
  }

  left(now: Millis): number {
    this.#taken = this.#taken.filter((at) => at > now - minute);
    return this.most - this.#taken.length;
  }

  take(now: Millis): boolean {
    if (this.left(now) <= 0) return false;
    this.#taken.push(now);
    return true;
  }
}
