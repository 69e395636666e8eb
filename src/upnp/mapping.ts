import type { Machine } from '../machine.js';
import type { Random } from '../random.js';
import { type Millis, minute, never, second } from '../time.js';
import { Companion, type CompanionEvent, type CompanionOrder, type CompanionStatus } from './companion.js';
import {
  type Announcement,
  answerLimit,
  type CheckAnswer,
  type CheckDepth,
  type FormerPlace,
  type GatewayDescription,
  type Grant,
  type MappingProtocol,
  type MappingRequest,
  type Refusal,
  type RefusalCode,
} from './contract.js';
import { worthOfExternalAddress } from './external-address.js';
import { epochWasReset } from './nat-pmp.js';
import { type Outcome, Patience } from './patience.js';
import {
  doubtAbout,
  type MappingDoubt,
  reasonForAbsence,
  reasonForRefusal,
  reasonForSilence,
  reasonForWorth,
} from './reasons.js';

/**
 *            search ends empty                     all routers refused
 *   ┌───────────────────────────► absent     ┌──────────────────────────► refused
 *   │                               │ found  │                               │ back-off over, announced,
 * (start) ──────────────────────────┴──► asked ◄─────────────────────────────┘ network changed: search
 *                                          │ granted
 *                     granted              ▼      half of the lease, table lost, network changed
 *              ┌──────────────────────► mapped ─────────────────────────────► renewing ──► asked, refused, absent
 *              └──────────────────────────────────────────────────────────────────┘
 */
export type MappingState = 'absent' | 'asked' | 'mapped' | 'renewing' | 'refused';

export type MappingEvent =
  /** A router that can map ports was found by the search that runs. */
  | { readonly kind: 'gatewayFound'; readonly gateway: GatewayDescription }
  /** The search is over; `seen` says in words what was seen and cannot be used; undefined: no default gateway. */
  | { readonly kind: 'searchEnded'; readonly seen: string | undefined }
  /** `asked`, here and below: the external port of the order that this answers. */
  | { readonly kind: 'granted'; readonly gateway: string; readonly asked: number; readonly grant: Grant }
  | { readonly kind: 'refused'; readonly gateway: string; readonly asked: number; readonly refusal: Refusal }
  | { readonly kind: 'checked'; readonly gateway: string; readonly answer: CheckAnswer }
  | { readonly kind: 'announced'; readonly announcement: Announcement }
  /** An address, a link or the default route of this machine changed, or it woke up. */
  | { readonly kind: 'networkChanged' }
  /** The address from which peers see our frames come; undefined: no peer says. */
  | { readonly kind: 'observedExternally'; readonly address: string | undefined }
  /**
   * Whether the router forwards what it says cannot be seen at the port it has mapped: another one is mapped for a
   * trial, as soon as nothing else is asked of the router, and again when it was lost to a search or a renewal.
   */
  | { readonly kind: 'trialWanted' }
  /** It was seen, or will not be. */
  | { readonly kind: 'trialEnded' }
  | { readonly kind: 'companion'; readonly event: CompanionEvent }
  /** The daemon ends, or port mapping was switched off: the mapping is removed, and nothing more is done. */
  | { readonly kind: 'stopping' };

type Answered = Pick<Extract<MappingEvent, { kind: 'granted' | 'refused' }>, 'gateway' | 'asked'>;

export type MappingEffect =
  | { readonly kind: 'search' }
  | { readonly kind: 'map'; readonly gateway: string; readonly request: MappingRequest }
  | { readonly kind: 'check'; readonly gateway: string; readonly depth: CheckDepth; readonly request: MappingRequest }
  | { readonly kind: 'unmap'; readonly gateway: string; readonly internalPort: number; readonly externalPort: number }
  | { readonly kind: 'companion'; readonly order: CompanionOrder }
  /** The router says that this is forwarded as well, until `trialEnded`; a port that nothing of ours has sent from. */
  | { readonly kind: 'trialMapped'; readonly externalAddress: string; readonly externalPort: number }
  /** What was mapped on trial is forwarded no more, and nothing was learnt. */
  | { readonly kind: 'trialLost' }
  /** Of the mapping over UDP: `tcp` alone is no change. */
  | { readonly kind: 'statusChanged'; readonly status: MappingStatus }
  /** The same port is mapped over TCP too, or why it is not. */
  | { readonly kind: 'companionChanged'; readonly status: CompanionStatus };

/** What the shell carries out; the rest is for the control plane. */
export type MappingOrder = Exclude<MappingEffect, { kind: MappingNews['kind'] }>;

/** What it tells, without anything to be carried out. */
export type MappingNews = Extract<
  MappingEffect,
  { kind: 'statusChanged' | 'companionChanged' | 'trialMapped' | 'trialLost' }
>;

const news: Readonly<Record<MappingNews['kind'], true>> = {
  statusChanged: true,
  companionChanged: true,
  trialMapped: true,
  trialLost: true,
};

export function isOrder(effect: MappingEffect): effect is MappingOrder {
  return !(effect.kind in news);
}

/** What `status --json` shows as portMapping (docs/OPERATIONS.md, What scripts read). */
export interface MappingStatus {
  readonly state: MappingState;
  readonly protocol: MappingProtocol | null;
  /** The router's address. */
  readonly gateway: string | null;
  readonly externalAddress: string | null;
  readonly externalPort: number | null;
  /** As granted; 0: permanent. */
  readonly leaseSeconds: number | null;
  /** One or two sentences for the operator: why not, or what is odd, and what to do. */
  readonly reason: string | null;
  /** Whether the same port is mapped over TCP too; null while none is mapped over UDP. */
  readonly tcp: CompanionStatus | null;
}

/** Our tuning. */
/** In seconds. Long enough that renewals cost nothing, short enough that a crashed node's mapping is soon gone. */
const usualLease = 3600;
/**
 * In seconds. What it takes to be dialled back three times, by a prover that may have dialled as often as it may; and
 * little of a router's table if we are gone before.
 */
const trialLease = 120;
/** A router restart must be noticed within seconds: one datagram of some octets to the next hop costs nothing. */
const pulseInterval: Millis = 4 * second;
/** What a pulse cannot see: an entry deleted by hand, a router without boot number. */
const tableInterval: Millis = minute;
/** A peer that tells another address each moment must not make us look all day. */
const hintedTableInterval: Millis = 10 * second;
/** A router that is silent for longer is looked for anew: it may have another address. Restarts take about a minute. */
const silenceLimit: Millis = 90 * second;
/** External ports tried on one router in a row: each costs a slow router seconds (re6st counted a quarter of an hour). */
const mostPorts = 8;
/** Routers remembered from one search. */
const mostGateways = 8;
/** After a silence of this long the router may have been restarted, also one that has no sign of it. */
const longSilence: Millis = 3 * pulseInterval;
const searchLimit: Millis = 20 * second;
/** What a router says, or does not, while it starts or has no line yet. */
const passing: ReadonlySet<RefusalCode> = new Set(['not-connected', 'silent', 'failed', 'malformed']);

interface Held {
  readonly gateway: GatewayDescription;
  readonly grant: Grant;
  readonly since: Millis;
}

interface Asking {
  readonly gateway: GatewayDescription;
  readonly request: MappingRequest;
  readonly ports: number;
  readonly since: Millis;
  readonly isTrial: boolean;
}

interface Refused {
  readonly gateway: GatewayDescription;
  readonly refusal: Refusal;
}

export interface MappingConfig {
  /** The UDP port we listen on; also the external port asked for first. */
  readonly internalPort: number;
  readonly random: Random;
  /** In seconds; an hour unless the caller knows better. */
  readonly lease?: number;
}

/** Keeps one UDP port of this machine mapped on one router, and the TCP port beside it. Starts searching at its first tick. */
export class Mapping implements Machine<MappingEvent, MappingEffect> {
  readonly #config: MappingConfig;
  readonly #lease: number;
  readonly #companion: Companion;
  #state: MappingState = 'absent';
  #held: Held | undefined;
  /** What we hold, or held last. */
  #last: Held | undefined;
  /** Where our port was forwarded to before our address on this router's side changed, for as long as that may stand. */
  #former: { readonly gateway: string; readonly place: FormerPlace; readonly until: Millis } | undefined;
  #reason: string | undefined;
  #observed: string | undefined;
  #shown = '';
  #companionShown = '';

  /** Found by the search that runs or ran last, best first; tried from the front. */
  #candidates: GatewayDescription[] = [];
  /** By id, those of at least this search and the one before: what was asked of them may be answered late. */
  readonly #known = new Map<string, GatewayDescription>();
  #asking: Asking | undefined;
  /** Asked for last without an answer, since the last grant: it may have been mapped all the same. */
  #unanswered: Asking | undefined;
  /** It stands in state `mapped` alone, and gives way to whatever else is asked of a router. */
  #trial: { readonly gateway: GatewayDescription; readonly externalPort: number; readonly until: Millis } | undefined;
  /** A trial is wanted, and there was neither an end to it nor a refusal. */
  #trialIsWanted = false;
  /** Of the search that runs or ran last. */
  #refusals: Refused[] = [];
  /** Of this search; a router that forwards only equal ports. */
  #equalPortsOnly: string | undefined;
  /** Those that the last search came to in the end. */
  #refused: readonly Refused[] = [];
  /** What we hold was granted since the last search began: no reason to give it up when other routers refuse. */
  #fresh = false;
  #searching: Millis | undefined;
  #retryAt: Millis = 0;
  readonly #patience: Patience;
  #stopped = false;
  /** As we left. */
  #left: Held | undefined;

  #pulseAt: Millis = never;
  #tableAt: Millis = never;
  /** The next look for what peers see. */
  #hintedTableAt: Millis = 0;
  #checking: Millis | undefined;
  /** Of the check that runs. */
  #depth: CheckDepth = 'pulse';
  #lastAnswer: Millis = 0;
  #life: string | undefined;
  #epoch: { seconds: number; at: Millis } | undefined;

  constructor(config: MappingConfig) {
    this.#config = config;
    this.#lease = config.lease ?? usualLease;
    this.#patience = new Patience(config.random);
    this.#companion = new Companion(config.internalPort, this.#lease);
  }

  handle(event: MappingEvent, now: Millis): MappingEffect[] {
    const effects = this.#stopped ? this.#afterStop(event) : this.#handle(event, now);
    if (event.kind === 'companion') this.#companion.handle(event.event, now);
    return this.#conclude([...effects, ...this.#startTrial(now)], now);
  }

  #handle(event: MappingEvent, now: Millis): MappingEffect[] {
    switch (event.kind) {
      case 'gatewayFound':
        return this.#onFound(event.gateway, now);
      case 'searchEnded':
        return this.#onSearchEnded(event.seen, now);
      case 'granted':
        return this.#onGranted(event.gateway, event.asked, event.grant, now);
      case 'refused':
        if (this.#isAsking(event)) return this.#onRefused(this.#asking!, event.refusal, now);
        // Without an answer to what was given up, the router may have done what it was asked.
        return event.refusal.code === 'silent' ? this.#removeLate(event.gateway, event.asked) : [];
      case 'checked':
        return this.#onChecked(event.gateway, event.answer, now);
      case 'announced':
        return this.#onAnnounced(event.announcement, now);
      case 'networkChanged':
        this.#patience.beginAnew();
        return this.#search(now);
      case 'observedExternally':
        return this.#onObserved(event.address, now);
      case 'trialWanted':
        this.#trialIsWanted = this.#held !== undefined;
        return this.#trial ? [mappedOnTrial(this.#trial, this.#held!.grant)] : [];
      case 'trialEnded':
        return this.#endTrial(now);
      case 'companion':
        return [];
      case 'stopping':
        return this.#stop();
    }
  }

  tick(now: Millis): MappingEffect[] {
    if (this.#stopped) return [];
    const effects: MappingEffect[] = [];
    if (this.#searching !== undefined && now >= this.#searching + searchLimit) {
      effects.push(...this.#onSearchEnded('', now));
    }
    if (this.#asking && now >= this.#asking.since + answerLimit) {
      effects.push(...this.#onRefused(this.#asking, { code: 'silent', detail: 'no answer in time' }, now));
    }
    if (this.#checking !== undefined && now >= this.#checking + answerLimit) this.#checking = undefined;
    if (now >= this.#retryAt) effects.push(...this.#search(now));
    if (this.#trial && now >= this.#trial.until) effects.push({ kind: 'trialLost' }, ...this.#endTrial(now));
    if (this.#held && this.#state === 'mapped') effects.push(...this.#tend(this.#held, now));
    return this.#conclude([...effects, ...this.#startTrial(now)], now);
  }

  deadline(): Millis {
    if (this.#stopped) return never;
    return Math.min(
      this.#retryAt,
      this.#searching === undefined ? never : this.#searching + searchLimit,
      this.#asking ? this.#asking.since + answerLimit : never,
      this.#checking === undefined ? Math.min(this.#pulseAt, this.#tableDue()) : this.#checking + answerLimit,
      this.#state === 'mapped' ? Math.min(this.#renewAt(), this.#lastAnswer + silenceLimit) : never,
      this.#trial?.until ?? never,
      this.#companion.deadline(),
    );
  }

  /** As last reported by `statusChanged`. */
  status(): MappingStatus {
    const gateway = this.#held?.gateway ?? this.#asking?.gateway;
    const usable = this.#state === 'mapped' || this.#state === 'renewing' ? this.#held : undefined;
    return {
      state: this.#state,
      protocol: gateway?.protocol ?? null,
      gateway: gateway?.address ?? null,
      externalAddress: usable?.grant.externalAddress ?? null,
      externalPort: usable?.grant.externalPort ?? null,
      leaseSeconds: usable?.grant.leaseSeconds ?? null,
      reason:
        this.#reason ??
        this.#whyRefused() ??
        (usable && reasonForWorth(usable.gateway, usable.grant, this.#observed)) ??
        null,
      tcp: usable ? this.#companion.status() : null,
    };
  }

  #whyRefused(): string | undefined {
    if (this.#refused.length === 0) return undefined;
    const port = this.#config.internalPort;
    return this.#refused
      .slice(0, 3)
      .map(({ gateway, refusal }) => reasonForRefusal(gateway, refusal, port, this.#observed))
      .join('; ');
  }

  /** Of the mapping that `status` shows, or of the router that gives none; undefined when there is nothing odd about it. */
  doubt(): MappingDoubt | undefined {
    if (!this.#held) return this.#lacksLine && this.#observed !== undefined ? 'hidden' : undefined;
    // While something is held there is no other reason of our own.
    return this.#reason === undefined ? doubtAbout(this.#held.grant, this.#observed) : 'silent';
  }

  #search(now: Millis): MappingEffect[] {
    this.#retryAt = never;
    this.#searching = now;
    this.#candidates = [];
    this.#refusals = [];
    this.#equalPortsOnly = undefined;
    const effects = this.#dropTrial();
    this.#asking = undefined;
    this.#fresh = false;
    this.#stopChecking();
    if (this.#held) this.#state = 'renewing';
    return [...effects, { kind: 'search' }];
  }

  #onFound(gateway: GatewayDescription, now: Millis): MappingEffect[] {
    if (this.#searching === undefined || this.#candidates.length >= mostGateways) return [];
    this.#candidates.push(gateway);
    this.#known.delete(gateway.id);
    this.#known.set(gateway.id, gateway);
    if (this.#known.size > 2 * mostGateways) this.#known.delete(this.#known.keys().next().value!);
    return this.#asking || (this.#state === 'mapped' && !this.#wantsBetter()) ? [] : this.#askNext(now);
  }

  #onSearchEnded(seen: string | undefined, now: Millis): MappingEffect[] {
    if (this.#searching === undefined) return [];
    this.#searching = undefined;
    if (this.#asking || this.#state === 'mapped' || this.#candidates.length > 0) return [];
    return this.#giveUp(seen, now);
  }

  /** We hold a mapping that the Internet cannot reach, and there may be another router with a public address. */
  #wantsBetter(): boolean {
    return this.#held !== undefined && worthOfExternalAddress(this.#held.grant.externalAddress) !== 'public';
  }

  #askNext(now: Millis): MappingEffect[] {
    const known = this.#fresh ? this.#held?.gateway.address : undefined;
    let gateway = this.#candidates.shift();
    while (gateway && gateway.address === known) gateway = this.#candidates.shift();
    if (!gateway && this.#fresh) {
      this.#state = 'mapped';
      return [];
    }
    if (!gateway) return this.#searching === undefined ? this.#giveUp('', now) : [];
    const held = this.#held && haveOneTable(this.#held.gateway, gateway) ? this.#held : undefined;
    const before = held ?? this.#leftBehind(gateway, now);
    return this.#ask(gateway, before?.grant.externalPort ?? this.#config.internalPort, this.#lease, 1, now);
  }

  #ask(
    gateway: GatewayDescription,
    externalPort: number,
    leaseSeconds: number,
    ports: number,
    now: Millis,
  ): MappingEffect[] {
    const effects = this.#dropTrial();
    const former = this.#formerPlace(gateway, now);
    const { internalPort } = this.#config;
    const request = { internalPort, externalPort, leaseSeconds, ...(former && { former }) };
    this.#asking = { gateway, request, ports, since: now, isTrial: false };
    this.#state = this.#held ? 'renewing' : 'asked';
    return [...effects, { kind: 'map', gateway: gateway.id, request }];
  }

  /** What this router may forward still to another address that was ours, and that we cannot remove from there. */
  #leftBehind({ address, localAddress }: GatewayDescription, now: Millis): Held | undefined {
    const last = this.#last;
    if (!last || last.gateway.address !== address || last.gateway.localAddress === localAddress) return undefined;
    // Behind other NATs homes are alike, and what is over may be another machine's by now, as the address may.
    const { externalAddress, leaseSeconds } = last.grant;
    const isOver = leaseSeconds > 0 && now >= last.since + leaseSeconds * second;
    return isOver || worthOfExternalAddress(externalAddress) !== 'public' ? undefined : last;
  }

  #formerPlace(gateway: GatewayDescription, now: Millis): FormerPlace | undefined {
    const left = this.#leftBehind(gateway, now);
    if (left) {
      const place = { localAddress: left.gateway.localAddress, externalAddress: left.grant.externalAddress };
      const { leaseSeconds } = left.grant;
      // Later that address may be another machine's, which weft maps the same port for.
      const until = leaseSeconds === 0 ? now + usualLease * second : left.since + leaseSeconds * second;
      this.#former = { gateway: gateway.id, place, until };
    }
    // Over TCP it may have been left as well, and that is asked for after.
    const former = this.#former;
    return former?.gateway === gateway.id && now < former.until ? former.place : undefined;
  }

  /** What answers a question that was given up answers no other one. */
  #isAsking({ gateway, asked }: Answered): boolean {
    return this.#asking?.gateway.id === gateway && this.#asking.request.externalPort === asked;
  }

  #onGranted(id: string, asked: number, grant: Grant, now: Millis): MappingEffect[] {
    const asking = this.#asking;
    // An answer that came too late: whatever was mapped is not ours to use.
    if (!asking || !this.#isAsking({ gateway: id, asked })) return this.#removeLate(id, grant.externalPort);
    if (asking.isTrial) return this.#onTrialGranted(asking.gateway, grant, now);
    const worth = worthOfExternalAddress(grant.externalAddress);
    if (worth === 'unusable') {
      const detail = `it says its Internet address is ${grant.externalAddress.slice(0, 64)}`;
      this.#asking = undefined;
      const effects = this.#remove(asking.gateway, grant.externalPort);
      return [...effects, ...this.#onRefused(asking, { code: 'not-connected', detail }, now)];
    }
    if (!(grant.externalPort >= 1 && grant.externalPort <= 65535)) {
      return this.#onRefused(asking, { code: 'malformed', detail: `it granted port ${grant.externalPort}` }, now);
    }
    this.#asking = undefined;
    if (this.#fresh && this.#held?.gateway.id !== id && worth !== 'public') {
      return [...this.#remove(asking.gateway, grant.externalPort), ...this.#askNext(now)];
    }
    const old = this.#held;
    this.#held = this.#last = { gateway: asking.gateway, grant, since: now };
    // Elsewhere, or at another port, it is left behind.
    const effects = old ? this.#remove(old.gateway, old.grant.externalPort) : [];
    const silent = this.#unanswered;
    this.#unanswered = undefined;
    if (silent) effects.push(...this.#remove(silent.gateway, silent.request.externalPort));
    // Whether another mapping needs a trial is to be seen.
    if (!old || !haveOneTable(old.gateway, asking.gateway) || old.grant.externalPort !== grant.externalPort) {
      this.#trialIsWanted = false;
    }
    this.#state = 'mapped';
    this.#fresh = true;
    this.#reason = undefined;
    this.#refused = [];
    this.#patience.beginAnew();
    this.#retryAt = never;
    this.#life = this.#epoch = undefined;
    this.#lastAnswer = now;
    this.#pulseAt = now;
    this.#tableAt = now + tableInterval;
    return this.#wantsBetter() ? [...effects, ...this.#askNext(now)] : effects;
  }

  /** Where a router has one table, the entry may be what we hold or ask for by its other protocol. */
  #remove(gateway: GatewayDescription, externalPort: number): MappingEffect[] {
    const [held, asking] = [this.#held, this.#asking];
    // Over NAT-PMP all entries of our port are removed, or none: it is left to its lease. Over UPnP an external port of a router is
    // one entry, whichever address of ours it goes to.
    const isWanted = (by: GatewayDescription | undefined, port: number | undefined) =>
      by !== undefined &&
      (gateway.protocol === 'nat-pmp'
        ? haveOneTable(by, gateway)
        : by.address === gateway.address && port === externalPort);
    if (isWanted(held?.gateway, held?.grant.externalPort)) return [];
    if (isWanted(asking?.gateway, asking?.request.externalPort)) return [];
    return [unmap(gateway.id, this.#config.internalPort, externalPort)];
  }

  #removeLate(id: string, externalPort: number): MappingEffect[] {
    const gateway = this.#known.get(id);
    return gateway ? this.#remove(gateway, externalPort) : [unmap(id, this.#config.internalPort, externalPort)];
  }

  #onRefused(asking: Asking, refusal: Refusal, now: Millis): MappingEffect[] {
    const { gateway, request, ports, isTrial } = asking;
    this.#asking = undefined;
    if (isTrial) return this.#onTrialRefused(asking, refusal, now);
    // To be asked for again soon, so it is not removed before we leave: that might come after the answer to the next question.
    if (refusal.code === 'silent') this.#unanswered = asking;
    if (refusal.code === 'permanent-only' && request.leaseSeconds !== 0) {
      return this.#ask(gateway, request.externalPort, 0, ports, now);
    }
    if (refusal.code === 'same-port-only' && request.externalPort !== request.internalPort) {
      this.#equalPortsOnly = gateway.id;
      return this.#ask(gateway, request.internalPort, request.leaseSeconds, mostPorts, now);
    }
    if (refusal.code === 'conflict' && ports < mostPorts) {
      return this.#ask(gateway, this.#anotherPort(), request.leaseSeconds, ports + 1, now);
    }
    // No other port can be forwarded: the conflict is not the whole reason.
    const isEqualTaken = refusal.code === 'conflict' && this.#equalPortsOnly === gateway.id;
    this.#refusals.push({ gateway, refusal: isEqualTaken ? { ...refusal, code: 'same-port-only' } : refusal });
    return this.#askNext(now);
  }

  /**
   * Behind a NAT that keeps port numbers, our own traffic leaves from the very endpoint that is mapped: who is dialled back there
   * may be let in through the hole it made. From a port drawn by chance nothing of ours ever left, so only a router that
   * forwards lets anything in there.
   */
  #startTrial(now: Millis): MappingEffect[] {
    if (!this.#trialIsWanted || !this.#held || this.#state !== 'mapped' || this.#asking || this.#trial) return [];
    // Over NAT-PMP a look at the table asks for the mapped port again, and would undo the trial.
    if (this.#checking !== undefined && this.#depth === 'table') return [];
    return this.#askTrial(this.#held.gateway, this.#held.grant.leaseSeconds === 0 ? 0 : trialLease, 1, now);
  }

  #askTrial(gateway: GatewayDescription, leaseSeconds: number, ports: number, now: Millis): MappingEffect[] {
    const request = { internalPort: this.#config.internalPort, externalPort: this.#anotherPort(), leaseSeconds };
    this.#asking = { gateway, request, ports, since: now, isTrial: true };
    return [{ kind: 'map', gateway: gateway.id, request }];
  }

  #onTrialGranted(gateway: GatewayDescription, grant: Grant, now: Millis): MappingEffect[] {
    this.#asking = undefined;
    const { externalPort } = grant;
    const held = this.#held!;
    if (externalPort === held.grant.externalPort) {
      // It has one place for our port, and leaves it where it is: nothing can be tried.
      this.#trialIsWanted = false;
      return [];
    }
    // The renewal waits for the end of the trial: that must come in time.
    const lease = held.grant.leaseSeconds * second;
    const renewal = lease === 0 ? never : held.since + 0.75 * lease;
    this.#trial = { gateway, externalPort, until: Math.min(now + trialLease * second, renewal) };
    return [mappedOnTrial(this.#trial, grant)];
  }

  #onTrialRefused(asking: Asking, { code }: Refusal, now: Millis): MappingEffect[] {
    const { gateway, request, ports } = asking;
    if (code === 'conflict' && ports < mostPorts) return this.#askTrial(gateway, request.leaseSeconds, ports + 1, now);
    if (code === 'permanent-only' && request.leaseSeconds !== 0) return this.#askTrial(gateway, 0, ports + 1, now);
    this.#trialIsWanted = false;
    if (code !== 'silent') return [];
    // It may have done what it was asked all the same; over NAT-PMP, moved its one entry.
    if (gateway.protocol === 'upnp') return this.#remove(gateway, request.externalPort);
    return this.#renew(this.#held!, now);
  }

  #endTrial(now: Millis): MappingEffect[] {
    this.#trialIsWanted = false;
    const trial = this.#trial;
    this.#trial = undefined;
    if (!trial) return [];
    // A NAT-PMP router keeps one entry for our port, and has moved it: it is asked to move it back.
    return trial.gateway.protocol === 'nat-pmp'
      ? this.#renew(this.#held!, now)
      : this.#remove(trial.gateway, trial.externalPort);
  }

  /** It gives way; where it is still wanted, it is asked for again. */
  #dropTrial(): MappingEffect[] {
    const trial = this.#trial;
    this.#trial = undefined;
    if (!trial) return [];
    return [...this.#remove(trial.gateway, trial.externalPort), { kind: 'trialLost' }];
  }

  /** Away from well-known ports, and from those that systems hand out by themselves (32768 and above). */
  #anotherPort(): number {
    return 20_000 + this.#config.random.below(12_000);
  }

  /** No router is left to ask: say why, and try again later. */
  #giveUp(seen: string | undefined, now: Millis): MappingEffect[] {
    this.#refused = this.#refusals;
    const refused = this.#refused.length > 0;
    if (this.#held) this.#patience.lost(now);
    this.#held = undefined;
    this.#trialIsWanted = false;
    this.#fresh = false;
    this.#stopChecking();
    this.#state = refused ? 'refused' : 'absent';
    this.#reason = refused ? undefined : reasonForAbsence(seen);
    this.#retryAt = now + this.#patience.waitAfter(this.#outcome(), now);
    return [];
  }

  /** Peers see us by some line: then a router that says it has none stands behind another one, and will not get one soon. */
  #outcome(): Outcome {
    if (this.#refused.length === 0) return 'absent';
    if (this.#observed === undefined && this.#lacksLine) return 'unconnected';
    return this.#refused.some(({ refusal }) => passing.has(refusal.code)) ? 'passing' : 'firm';
  }

  get #lacksLine(): boolean {
    return this.#refused.some(({ refusal }) => refusal.code === 'not-connected');
  }

  /** The first peer that sees us again tells that a line is back, and another address that the router may have it too. */
  #onObserved(address: string | undefined, now: Millis): MappingEffect[] {
    const isNews = address !== this.#observed;
    this.#observed = address;
    if (address === undefined || !isNews) return [];
    if (this.#held && this.#state === 'mapped' && address !== this.#held.grant.externalAddress) {
      const lookAt = Math.max(now, this.#hintedTableAt);
      if (lookAt < this.#tableAt) {
        this.#tableAt = lookAt;
        this.#hintedTableAt = lookAt + hintedTableInterval;
      }
    }
    if (this.#state === 'absent' || (this.#state === 'refused' && this.#lacksLine)) {
      const soonest = this.#patience.hinted(now);
      if (this.#retryAt !== never) this.#retryAt = Math.min(this.#retryAt, soonest);
    }
    return [];
  }

  /** While a trial is under way, a router with one entry for our port must not be asked for the mapped one. */
  get #isOnTrial(): boolean {
    return this.#trial !== undefined || this.#asking?.isTrial === true;
  }

  #tableDue(): Millis {
    return this.#isOnTrial ? never : this.#tableAt;
  }

  #renewAt(): Millis {
    const held = this.#held;
    if (this.#isOnTrial) return never;
    return held && held.grant.leaseSeconds > 0 ? held.since + (held.grant.leaseSeconds * second) / 2 : never;
  }

  #tend(held: Held, now: Millis): MappingEffect[] {
    if (now >= this.#renewAt()) return this.#renew(held, now);
    if (now >= this.#lastAnswer + silenceLimit) {
      this.#reason = reasonForSilence(held.gateway);
      return this.#search(now);
    }
    if (this.#checking !== undefined) return [];
    if (now >= this.#tableDue()) return this.#check(held, 'table', now);
    return now >= this.#pulseAt ? this.#check(held, 'pulse', now) : [];
  }

  #renew(held: Held, now: Millis): MappingEffect[] {
    this.#stopChecking();
    this.#fresh = false;
    const lease = held.grant.leaseSeconds === 0 ? 0 : this.#lease;
    return this.#ask(held.gateway, held.grant.externalPort, lease, 1, now);
  }

  #check(held: Held, depth: CheckDepth, now: Millis): MappingEffect[] {
    this.#checking = now;
    this.#depth = depth;
    this.#pulseAt = now + pulseInterval;
    if (depth === 'table') this.#tableAt = now + tableInterval;
    const request = {
      internalPort: this.#config.internalPort,
      externalPort: held.grant.externalPort,
      leaseSeconds: held.grant.leaseSeconds,
    };
    return [{ kind: 'check', gateway: held.gateway.id, depth, request }];
  }

  #stopChecking(): void {
    this.#checking = undefined;
    this.#pulseAt = this.#tableAt = never;
  }

  #onChecked(id: string, answer: CheckAnswer, now: Millis): MappingEffect[] {
    const held = this.#held;
    if (this.#checking === undefined || held?.gateway.id !== id) return [];
    this.#checking = undefined;
    if (!answer.answered) {
      // It lives, and does not answer where its table was: a router that started anew, or another in its place.
      const isElsewhere = this.#depth === 'table' && now - this.#lastAnswer < longSilence;
      if (!isElsewhere) return [];
      this.#reason = reasonForSilence(held.gateway);
      return this.#search(now);
    }
    if (this.#depth === 'pulse' && now >= this.#lastAnswer + longSilence) this.#tableAt = now;
    this.#lastAnswer = now;
    const restarted = this.#noteLife(answer, now);
    const { externalAddress } = answer;
    const moved = externalAddress !== undefined && externalAddress !== held.grant.externalAddress;
    if (restarted || moved || answer.held === false) return this.#renew(held, now);
    if (this.#depth === 'table') this.#companion.udpSeen();
    return [];
  }

  /** Remembers the router's signs of life; true when they say that it was restarted since the last. */
  #noteLife(answer: CheckAnswer, now: Millis): boolean {
    const { life, epochSeconds } = answer;
    const before = this.#epoch;
    const changed =
      (life !== undefined && this.#life !== undefined && life !== this.#life) ||
      (epochSeconds !== undefined &&
        before !== undefined &&
        epochWasReset(before.seconds, epochSeconds, (now - before.at) / second));
    if (life !== undefined) this.#life = life;
    if (epochSeconds !== undefined) this.#epoch = { seconds: epochSeconds, at: now };
    return changed;
  }

  #onAnnounced(announcement: Announcement, now: Millis): MappingEffect[] {
    const searchAt = this.#patience.announced(announcement, now);
    const held = this.#held;
    if (this.#state === 'mapped' && held?.gateway.address === announcement.address) {
      // Announced again and again in any case: look at once, but no oftener than a pulse would.
      this.#tableAt = Math.min(this.#tableAt, Math.max(now, this.#pulseAt - pulseInterval + second));
      return this.#tend(held, now);
    }
    const waiting = this.#state === 'absent' || this.#state === 'refused';
    if (!waiting || this.#searching !== undefined || this.#retryAt === never) return [];
    this.#retryAt = Math.min(this.#retryAt, searchAt);
    return [];
  }

  #stop(): MappingEffect[] {
    this.#stopped = true;
    const [held, asking, trial] = [this.#held, this.#asking, this.#trial];
    this.#asking = this.#trial = undefined;
    const effects = trial ? this.#remove(trial.gateway, trial.externalPort) : [];
    if (asking?.isTrial) effects.push(...this.#remove(asking.gateway, asking.request.externalPort));
    const silent = this.#unanswered;
    if (silent) effects.push(...this.#remove(silent.gateway, silent.request.externalPort));
    this.#left = held;
    this.#held = undefined;
    this.#state = 'absent';
    this.#reason = 'port mapping has ended';
    return held ? [...effects, unmap(held.gateway.id, this.#config.internalPort, held.grant.externalPort)] : effects;
  }

  /**
   * A grant that arrives while we leave is taken back, and so is what was asked for and is not answered. Over NAT-PMP a look into
   * the table asks for the mapping again, perhaps after it was removed.
   */
  #afterStop(event: MappingEvent): MappingEffect[] {
    const { internalPort } = this.#config;
    if (event.kind === 'granted') return [unmap(event.gateway, internalPort, event.grant.externalPort)];
    if (event.kind === 'checked' && event.answer.answered) {
      const left = this.#left?.gateway.id === event.gateway ? this.#left : undefined;
      return left?.gateway.protocol === 'nat-pmp' ? [unmap(event.gateway, internalPort, left.grant.externalPort)] : [];
    }
    const isUnanswered = event.kind === 'refused' && event.refusal.code === 'silent';
    return isUnanswered ? [unmap(event.gateway, internalPort, event.asked)] : [];
  }

  #conclude(effects: MappingEffect[], now: Millis): MappingEffect[] {
    const isAtRest = this.#state === 'mapped' && !this.#asking && !this.#trial;
    const former = this.#held && this.#formerPlace(this.#held.gateway, now);
    const order = this.#companion.next(this.#held, former, isAtRest, now);
    if (order) effects.push({ kind: 'companion', order });
    return this.#show(effects);
  }

  #show(effects: MappingEffect[]): MappingEffect[] {
    const status = this.status();
    const text = JSON.stringify({ ...status, tcp: null });
    if (text !== this.#shown) effects.push({ kind: 'statusChanged', status });
    this.#shown = text;
    const { tcp } = status;
    const companion = tcp && (tcp.mapped || tcp.reason !== null) ? JSON.stringify(tcp) : '';
    if (tcp && companion !== '' && companion !== this.#companionShown) {
      effects.push({ kind: 'companionChanged', status: tcp });
    }
    this.#companionShown = companion;
    return effects;
  }
}

function unmap(gateway: string, internalPort: number, externalPort: number): MappingEffect {
  return { kind: 'unmap', gateway, internalPort, externalPort };
}

/** Whether what is mapped over the one may be seen, and removed, over the other: miniupnpd serves both protocols from one table. */
function haveOneTable(one: GatewayDescription, other: GatewayDescription): boolean {
  return one.address === other.address && one.localAddress === other.localAddress;
}

function mappedOnTrial({ externalPort }: { externalPort: number }, { externalAddress }: Grant): MappingEffect {
  return { kind: 'trialMapped', externalAddress, externalPort };
}
