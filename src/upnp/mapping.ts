import type { Machine } from '../machine.js';
import type { Random } from '../random.js';
import { type Millis, never } from '../time.js';
import { Account } from './account.js';
import { Companion } from './companion.js';
import type { Announcement, CheckAnswer, FormerPlace, GatewayDescription, Grant, Refusal } from './contract.js';
import { Departure, unmap } from './departure.js';
import type { MappingEffect, MappingEvent } from './effects.js';
import { type Entry, haveOneTable, removalTakes } from './entry.js';
import { worthOfExternalAddress } from './external-address.js';
import { FormerLeases } from './former-leases.js';
import { Lease } from './lease.js';
import { Patience } from './patience.js';
import { mostPorts, portByChance, Question } from './question.js';
import type { MappingDoubt } from './reasons.js';
import { Search } from './search.js';
import type { MappingState, MappingStatus } from './status.js';
import { Told } from './told.js';
import { Trial } from './trial.js';
import { Watch } from './watch.js';

/** Our tuning. */
/** In seconds. Long enough that renewals cost nothing, short enough that a crashed node's mapping is soon gone. */
const usualLease = 3600;
export interface MappingConfig {
  /** The UDP port we listen on; also the external port asked for first. */
  readonly internalPort: number;
  readonly random: Random;
  /** In seconds; an hour unless the caller knows better. */
  readonly lease?: number;
}

/** Keeps one UDP port of this machine mapped on one router, and the TCP port beside it. Starts searching at its first tick. */
export class Mapping implements Machine<MappingEvent, MappingEffect> {
  readonly #internalPort: number;
  readonly #random: Random;
  readonly #lease: number;
  readonly #search = new Search();
  readonly #patience: Patience;
  readonly #watch = new Watch();
  readonly #trial: Trial;
  readonly #former = new FormerLeases();
  readonly #companion: Companion;
  readonly #account: Account;
  readonly #told = new Told();

  #state: MappingState = 'absent';
  #held: Lease | undefined;
  /** What we hold was granted since the last search began: no reason to give it up when other routers refuse. */
  #fresh = false;
  /** About what we hold, or want to; of a trial it is the trial's. */
  #asked: Question | undefined;
  /** The last one without an answer, since the last grant: it may have been mapped all the same. */
  #unanswered: Question | undefined;
  #retryAt: Millis = 0;
  #departure: Departure | undefined;

  constructor({ internalPort, random, lease = usualLease }: MappingConfig) {
    this.#internalPort = internalPort;
    this.#random = random;
    this.#lease = lease;
    this.#patience = new Patience(random);
    this.#trial = new Trial(internalPort, random);
    this.#companion = new Companion(internalPort, lease);
    this.#account = new Account(internalPort);
  }

  handle(event: MappingEvent, now: Millis): MappingEffect[] {
    const effects = this.#departure?.handle(event) ?? this.#handle(event, now);
    if (event.kind === 'companion') this.#companion.handle(event.event, now);
    return this.#conclude(effects, now);
  }

  #handle(event: MappingEvent, now: Millis): MappingEffect[] {
    switch (event.kind) {
      case 'gatewayFound':
        return this.#onFound(event.gateway, now);
      case 'searchEnded':
        return this.#onSearchEnded(event.seen, now);
      case 'granted':
        if (this.#question?.isAnsweredBy(event)) return this.#onGranted(this.#question, event.grant, now);
        // An answer that came too late: whatever was mapped is not ours to use.
        return this.#removeLate(event.gateway, event.grant.externalPort);
      case 'refused':
        if (this.#question?.isAnsweredBy(event)) return this.#onRefused(this.#question, event.refusal, now);
        // Without an answer to what was given up, the router may have done what it was asked.
        return event.refusal.code === 'silent' ? this.#removeLate(event.gateway, event.asked) : [];
      case 'checked':
        return this.#held?.gateway.id === event.gateway ? this.#onChecked(this.#held, event.answer, now) : [];
      case 'announced':
        return this.#onAnnounced(event.announcement, now);
      case 'networkChanged':
        this.#patience.beginAnew();
        return this.#beginSearch(now);
      case 'observedExternally':
        return this.#onObserved(event.address, now);
      case 'trialWanted':
        if (this.#held) this.#trial.want();
        return [...this.#trial.news];
      case 'trialEnded':
        return this.#undoTrial(this.#trial.end(), now);
      case 'companion':
        return [];
      case 'stopping':
        return this.#stop();
    }
  }

  tick(now: Millis): MappingEffect[] {
    if (this.#departure) return [];
    const effects: MappingEffect[] = [];
    if (now >= this.#search.endsAt) effects.push(...this.#onSearchEnded('', now));
    const question = this.#question;
    if (question && now >= question.overdueAt) {
      effects.push(...this.#onRefused(question, { code: 'silent', detail: 'no answer in time' }, now));
    }
    if (now >= this.#retryAt) effects.push(...this.#beginSearch(now));
    if (now >= this.#trial.until) effects.push({ kind: 'trialLost' }, ...this.#undoTrial(this.#trial.end(), now));
    effects.push(...this.#tend(now));
    return this.#conclude(effects, now);
  }

  deadline(): Millis {
    if (this.#departure) return never;
    const isOnTrial = this.#trial.entry !== undefined;
    return Math.min(
      this.#retryAt,
      this.#search.endsAt,
      this.#question?.overdueAt ?? never,
      this.#state === 'mapped' ? Math.min(this.#renewAt(), this.#watch.deadline(isOnTrial)) : never,
      this.#trial.until,
      this.#companion.deadline(),
    );
  }

  /** As last reported by `statusChanged`. */
  status(): MappingStatus {
    const gateway = this.#held?.gateway ?? this.#asked?.gateway;
    const usable = this.#state === 'mapped' || this.#state === 'renewing' ? this.#held : undefined;
    return {
      state: this.#state,
      protocol: gateway?.protocol ?? null,
      gateway: gateway?.address ?? null,
      externalAddress: usable?.grant.externalAddress ?? null,
      externalPort: usable?.externalPort ?? null,
      leaseSeconds: usable?.grant.leaseSeconds ?? null,
      reason: this.#account.reason(usable),
      tcp: usable ? this.#companion.status() : null,
    };
  }

  /** Of the mapping that `status` shows, or of the router that gives none; undefined when there is nothing odd about it. */
  doubt(): MappingDoubt | undefined {
    return this.#account.doubt(this.#held);
  }

  /** What a router is asked now: one thing at a time. */
  get #question(): Question | undefined {
    return this.#asked ?? this.#trial.question;
  }

  #beginSearch(now: Millis): MappingEffect[] {
    const effects = this.#giveUpTrial();
    this.#retryAt = never;
    this.#search.begin(now);
    this.#asked = undefined;
    this.#fresh = false;
    this.#watch.stop();
    if (this.#held) this.#state = 'renewing';
    return [...effects, { kind: 'search' }];
  }

  #onFound(gateway: GatewayDescription, now: Millis): MappingEffect[] {
    if (!this.#search.found(gateway) || this.#question) return [];
    return this.#state === 'mapped' && !this.#wantsBetter ? [] : this.#askNext(now);
  }

  #onSearchEnded(seen: string | undefined, now: Millis): MappingEffect[] {
    if (!this.#search.isRunning) return [];
    this.#search.end();
    if (this.#question || this.#state === 'mapped' || this.#search.hasCandidates) return [];
    return this.#giveUp(seen, now);
  }

  /** We hold a mapping that the Internet cannot reach, and there may be another router with a public address. */
  get #wantsBetter(): boolean {
    return this.#held !== undefined && worthOfExternalAddress(this.#held.grant.externalAddress) !== 'public';
  }

  #askNext(now: Millis): MappingEffect[] {
    const gateway = this.#search.next(this.#fresh ? this.#held?.gateway.address : undefined);
    if (!gateway && this.#fresh) {
      this.#state = 'mapped';
      return [];
    }
    if (!gateway) return this.#search.isRunning ? [] : this.#giveUp('', now);
    const held = this.#held && haveOneTable(this.#held.gateway, gateway) ? this.#held : undefined;
    const before = held ?? this.#former.standingAt(gateway, now) ?? this.#former.leftAt(gateway, now);
    return this.#ask(gateway, before?.externalPort ?? this.#internalPort, this.#lease, 1, now);
  }

  #ask(
    gateway: GatewayDescription,
    externalPort: number,
    leaseSeconds: number,
    ports: number,
    now: Millis,
  ): MappingEffect[] {
    const effects = this.#giveUpTrial();
    const former = this.#formerPlace(gateway, now);
    const request = { internalPort: this.#internalPort, externalPort, leaseSeconds, ...(former && { former }) };
    this.#asked = new Question(gateway, request, ports, now);
    this.#state = this.#held ? 'renewing' : 'asked';
    return [...effects, this.#asked.order];
  }

  #formerPlace(gateway: GatewayDescription, now: Millis): FormerPlace | undefined {
    return this.#former.leftAt(gateway, now)?.place;
  }

  #onGranted(question: Question, grant: Grant, now: Millis): MappingEffect[] {
    if (question === this.#trial.question) {
      const left = this.#trial.granted(question, grant, this.#held!, now);
      return [...this.#remove(left), ...this.#trial.news];
    }
    this.#asked = undefined;
    const lease = new Lease(question.gateway, grant, now);
    const worth = worthOfExternalAddress(grant.externalAddress);
    if (worth === 'unusable') {
      const detail = `it says its Internet address is ${grant.externalAddress.slice(0, 64)}`;
      return [...this.#remove(lease), ...this.#onRefused(question, { code: 'not-connected', detail }, now)];
    }
    if (!(grant.externalPort >= 1 && grant.externalPort <= 65535)) {
      return this.#onRefused(question, { code: 'malformed', detail: `it granted port ${grant.externalPort}` }, now);
    }
    if (this.#fresh && this.#held?.gateway.id !== lease.gateway.id && worth !== 'public') {
      return [...this.#remove(lease), ...this.#askNext(now)];
    }
    return this.#hold(lease, now);
  }

  #hold(lease: Lease, now: Millis): MappingEffect[] {
    const [old, unanswered] = [this.#held, this.#unanswered];
    this.#held = lease;
    this.#former.granted(lease);
    this.#unanswered = undefined;
    // Elsewhere, or at another port, it is left behind.
    const effects = [old, unanswered].flatMap((entry) => this.#remove(entry));
    // Whether another mapping needs a trial is to be seen.
    if (!old || !haveOneTable(old.gateway, lease.gateway) || old.externalPort !== lease.externalPort) {
      this.#trial.unwant();
    }
    this.#state = 'mapped';
    this.#fresh = true;
    this.#account.granted();
    this.#patience.beginAnew();
    this.#retryAt = never;
    this.#watch.begin(now);
    return this.#wantsBetter ? [...effects, ...this.#askNext(now)] : effects;
  }

  /** But for what would take with it what we hold, or ask for. */
  #remove(entry: Entry | undefined): MappingEffect[] {
    if (!entry) return [];
    for (const wanted of [this.#held, this.#question]) if (wanted && removalTakes(entry, wanted)) return [];
    return [unmap(entry.gateway.id, this.#internalPort, entry.externalPort)];
  }

  #removeLate(id: string, externalPort: number): MappingEffect[] {
    const gateway = this.#search.known(id);
    return gateway ? this.#remove({ gateway, externalPort }) : [unmap(id, this.#internalPort, externalPort)];
  }

  #onRefused(question: Question, refusal: Refusal, now: Millis): MappingEffect[] {
    if (question === this.#trial.question) return this.#onTrialRefused(question, refusal, now);
    const { gateway, request, ports } = question;
    this.#asked = undefined;
    // To be asked for again soon, so it is not removed before we leave: that might come after the answer to the next question.
    if (refusal.code === 'silent') this.#unanswered = question;
    if (refusal.code === 'permanent-only' && request.leaseSeconds !== 0) {
      return this.#ask(gateway, request.externalPort, 0, ports, now);
    }
    if (refusal.code === 'same-port-only' && request.externalPort !== request.internalPort) {
      this.#search.hasEqualPortsOnly(gateway);
      return this.#ask(gateway, request.internalPort, request.leaseSeconds, mostPorts, now);
    }
    // The port that was to be free again is not: we keep the one we hold.
    const held = this.#held?.gateway.id === gateway.id ? this.#held : undefined;
    if (held && ports === 1 && request.externalPort !== held.externalPort && refusal.code !== 'silent') {
      return this.#ask(gateway, held.externalPort, request.leaseSeconds, ports + 1, now);
    }
    if (refusal.code === 'conflict' && ports < mostPorts) {
      return this.#ask(gateway, portByChance(this.#random), request.leaseSeconds, ports + 1, now);
    }
    this.#search.refused(gateway, refusal);
    return this.#askNext(now);
  }

  #onTrialRefused(question: Question, refusal: Refusal, now: Millis): MappingEffect[] {
    const next = this.#trial.refused(question, refusal, now);
    if (next) return [next.order];
    // It may have done what it was asked all the same.
    return refusal.code === 'silent' ? this.#undoTrial(question, now) : [];
  }

  /** A NAT-PMP router keeps one entry for our port, and has moved it: it is asked to move it back. */
  #undoTrial(entry: Entry | undefined, now: Millis): MappingEffect[] {
    return entry?.gateway.protocol === 'nat-pmp' ? this.#renew(this.#held!, now) : this.#remove(entry);
  }

  /** It gives way; where it is still wanted, it is asked for again. */
  #giveUpTrial(): MappingEffect[] {
    const entry = this.#trial.giveUp();
    return entry ? [...this.#remove(entry), { kind: 'trialLost' }] : [];
  }

  /** No router is left to ask: say why, and try again later. */
  #giveUp(seen: string | undefined, now: Millis): MappingEffect[] {
    this.#account.gaveUp(this.#search.refusals, seen);
    if (this.#held) this.#patience.lost(now);
    this.#held = undefined;
    this.#trial.unwant();
    this.#fresh = false;
    this.#watch.stop();
    this.#state = this.#account.isRefused ? 'refused' : 'absent';
    this.#retryAt = now + this.#patience.waitAfter(this.#account.outcome, now);
    return [];
  }

  /** The first peer that sees us again tells that a line is back, and another address that the router may have it too. */
  #onObserved(address: string | undefined, now: Millis): MappingEffect[] {
    if (!this.#account.observes(address)) return [];
    if (this.#held && this.#state === 'mapped' && address !== this.#held.grant.externalAddress) this.#watch.hinted(now);
    if (this.#state === 'absent' || (this.#state === 'refused' && this.#account.lacksLine)) {
      const soonest = this.#patience.hinted(now);
      if (this.#retryAt !== never) this.#retryAt = Math.min(this.#retryAt, soonest);
    }
    return [];
  }

  /** While a trial is under way, a router with one entry for our port must not be asked for the one we hold. */
  #renewAt(): Millis {
    if (!this.#held || this.#trial.entry) return never;
    return Math.min(this.#held.overAt(0.5), this.#former.freeAgainAt(this.#internalPort, this.#held));
  }

  #tend(now: Millis): MappingEffect[] {
    const held = this.#held;
    if (!held || this.#state !== 'mapped') return [];
    if (now >= this.#renewAt()) return this.#renew(held, now);
    if (this.#watch.isSilent(now)) return this.#searchElsewhere(held, now);
    const depth = this.#watch.next(this.#trial.entry !== undefined, now);
    if (!depth) return [];
    const { externalPort, leaseSeconds } = held.grant;
    const request = { internalPort: this.#internalPort, externalPort, leaseSeconds };
    return [{ kind: 'check', gateway: held.gateway.id, depth, request }];
  }

  #searchElsewhere({ gateway }: Lease, now: Millis): MappingEffect[] {
    this.#account.fellSilent(gateway);
    return this.#beginSearch(now);
  }

  #renew(held: Lease, now: Millis): MappingEffect[] {
    this.#watch.stop();
    this.#fresh = false;
    const lease = held.isPermanent ? 0 : this.#lease;
    if (now < this.#former.freeAgainAt(this.#internalPort, held)) {
      return this.#ask(held.gateway, held.externalPort, lease, 1, now);
    }
    // What others have noted of us, or an operator of a firewall, is that one.
    this.#former.forget(this.#internalPort);
    return this.#ask(held.gateway, this.#internalPort, lease, 1, now);
  }

  #onChecked(held: Lease, answer: CheckAnswer, now: Millis): MappingEffect[] {
    switch (this.#watch.answered(answer, held.grant, now)) {
      case 'lost':
        return this.#renew(held, now);
      case 'elsewhere':
        return this.#searchElsewhere(held, now);
      case 'stands':
        this.#companion.udpSeen();
        return [];
      case 'nothing':
        return [];
    }
  }

  #onAnnounced(announcement: Announcement, now: Millis): MappingEffect[] {
    const searchAt = this.#patience.announced(announcement, now);
    if (this.#state === 'mapped' && this.#held?.gateway.address === announcement.address) {
      this.#watch.announced(now);
      return this.#tend(now);
    }
    const isWaiting = this.#state === 'absent' || this.#state === 'refused';
    if (!isWaiting || this.#search.isRunning || this.#retryAt === never) return [];
    this.#retryAt = Math.min(this.#retryAt, searchAt);
    return [];
  }

  #stop(): MappingEffect[] {
    const held = this.#held;
    const tried = this.#trial.entry;
    this.#trial.giveUp();
    this.#asked = undefined;
    const effects = [tried, this.#unanswered].flatMap((entry) => this.#remove(entry));
    this.#held = undefined;
    effects.push(...this.#remove(held));
    this.#departure = new Departure(this.#internalPort, held);
    this.#state = 'absent';
    this.#account.ended();
    return effects;
  }

  /** What there is time for beside that, and what is to be told. */
  #conclude(effects: readonly MappingEffect[], now: Millis): MappingEffect[] {
    const all = [...effects, ...this.#startTrial(now)];
    const isAtRest = this.#state === 'mapped' && !this.#asked && !this.#trial.entry;
    const former = this.#held && this.#formerPlace(this.#held.gateway, now);
    const order = this.#companion.next(this.#held, former, isAtRest, now);
    if (order) all.push({ kind: 'companion', order });
    return [...all, ...this.#told.news(this.status())];
  }

  #startTrial(now: Millis): MappingEffect[] {
    // Over NAT-PMP a look at the table asks for the mapped port again, and would undo the trial.
    if (!this.#held || this.#state !== 'mapped' || this.#asked || this.#watch.isLooking) return [];
    const question = this.#trial.ask(this.#held, now);
    return question ? [question.order] : [];
  }
}
