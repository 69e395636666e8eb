import { type Millis, minute, never, second } from '../time.js';
import type { FormerPlace, GatewayDescription, Grant, MapAnswer, MappingRequest, Refusal } from './contract.js';
import { reasonForRefusal } from './reasons.js';

/**
 * The same external port over TCP (the companion port of RFC 6886 §3.3), beside a UDP mapping that stands:
 *
 *                 mapped, and we listen           granted
 *     (nothing) ────────────────────────► asked ───────────► mapped
 *         ▲                                │ ▲                 │ renewed, or gone from the table: asked
 *         │ UDP is mapped there no more    ▼ │ 10 min, renewed │
 *         └────── removed ◄──────────── refused ◄──────────────┘ refused
 *
 * Best effort: the UDP mapping neither waits for it nor changes with it. Nor is anything asked while a trial stands: miniupnpd 2.3.1
 * takes the last of our port's filter rules with whatever it takes away, of either transport. Over NAT-PMP it does so at each
 * renewal as well; so there TCP is asked for again after each question about UDP, and never by itself: that keeps a rule of UDP first.
 */

/** The UDP mapping it stands beside; another object for each grant. */
export interface Anchor {
  readonly gateway: GatewayDescription;
  readonly grant: Grant;
}

/** To be carried out over TCP, one at a time; each is answered. */
export interface CompanionOrder {
  readonly kind: 'map' | 'look' | 'unmap';
  readonly gateway: string;
  readonly request: MappingRequest;
}

export type CompanionEvent =
  /** We take connections on the TCP port, from now on. */
  | { readonly kind: 'listening' }
  | { readonly kind: 'mapAnswered'; readonly answer: MapAnswer }
  /** Whether the router's table has it; undefined: it did not say. */
  | { readonly kind: 'looked'; readonly held: boolean | undefined }
  | { readonly kind: 'unmapped' };

/** What `status --json` shows as portMapping.tcp; null: no UDP port is mapped. */
export interface CompanionStatus {
  readonly mapped: boolean;
  /** Why not, for the operator; null while it is asked for. */
  readonly reason: string | null;
}

/** Our tuning. */
/** After a grant of the UDP port, until the router is asked for more: a trial comes sooner, and must not wait for us. */
const pause: Millis = second;
/** A router that refused is not pestered. */
const retryRefused: Millis = 10 * minute;
const retrySilent: Millis = minute;

interface Place {
  readonly gateway: string;
  readonly externalPort: number;
}

export class Companion {
  readonly #internalPort: number;
  readonly #lease: number;
  #listens = false;
  #anchor: Anchor | undefined;
  #former: FormerPlace | undefined;
  #isAtRest = false;
  /** Where an entry of ours may stand. */
  #there: Place | undefined;
  /** Without an answer yet; `before`: where one stood when it was given. */
  #running: { readonly order: CompanionOrder; readonly before: Place | undefined } | undefined;
  #isMapped = false;
  #reason: string | undefined;
  #askAt: Millis = never;
  #isLookDue = false;

  /** `lease`: in seconds, asked for where the UDP mapping has a lease at all. */
  constructor(internalPort: number, lease: number) {
    this.#internalPort = internalPort;
    this.#lease = lease;
  }

  handle(event: CompanionEvent, now: Millis): void {
    if (event.kind === 'listening') {
      this.#listens = true;
      return;
    }
    const running = this.#running;
    if (!running || running.order.kind !== orderOf[event.kind]) return;
    this.#running = undefined;
    if (event.kind === 'unmapped') this.#there = undefined;
    else if (event.kind === 'looked') {
      if (event.held === false) this.#askAt = now;
    } else if (event.answer.kind === 'granted') this.#onGranted(running.order, event.answer.grant, now);
    else this.#onRefused(running.order, running.before, event.answer.refusal, now);
  }

  /** The router was asked whether it holds the UDP mapping, and it does. Over NAT-PMP that was a renewal. */
  udpSeen(): void {
    this.#isLookDue = this.#isMapped;
  }

  /**
   * What is to be done now, beside what is mapped over UDP now. `former`: where our port went until our address changed, if it may
   * still. `isAtRest`: nothing else is asked of the router, or tried there.
   */
  next(
    anchor: Anchor | undefined,
    former: FormerPlace | undefined,
    isAtRest: boolean,
    now: Millis,
  ): CompanionOrder | undefined {
    this.#former = former;
    if (anchor !== this.#anchor) this.#follow(anchor, now);
    this.#isAtRest = isAtRest;
    if (this.#running) return undefined;
    const before = this.#there;
    if (before && !this.#isWanted(before)) return this.#run('unmap', before);
    if (!anchor || now < this.deadline()) return undefined;
    const place = placeOf(anchor);
    if (now < this.#askAt) {
      this.#isLookDue = false;
      return this.#run('look', place);
    }
    this.#askAt = never;
    this.#isLookDue = false;
    this.#there = place;
    return this.#run('map', place, before);
  }

  deadline(): Millis {
    if (!this.#anchor || !this.#listens || !this.#isAtRest || this.#running) return never;
    return this.#isLookDue ? 0 : this.#askAt;
  }

  status(): CompanionStatus {
    const unheard = `nothing of ours listens on TCP port ${this.#internalPort}`;
    return { mapped: this.#isMapped, reason: this.#reason ?? (this.#listens ? null : unheard) };
  }

  #follow(anchor: Anchor | undefined, now: Millis): void {
    const before = this.#anchor && placeOf(this.#anchor);
    this.#anchor = anchor;
    this.#askAt = now + pause;
    this.#isLookDue = false;
    if (before && this.#isWanted(before)) return;
    this.#isMapped = false;
    this.#reason = undefined;
  }

  #run(kind: CompanionOrder['kind'], { gateway, externalPort }: Place, before?: Place): CompanionOrder {
    const leaseSeconds = this.#anchor?.grant.leaseSeconds === 0 ? 0 : this.#lease;
    const former = this.#former;
    const request = { internalPort: this.#internalPort, externalPort, leaseSeconds, ...(former && { former }) };
    const order = { kind, gateway, request };
    this.#running = { order, before };
    return order;
  }

  #onGranted(order: CompanionOrder, { externalPort }: Grant, now: Millis): void {
    this.#there = { gateway: order.gateway, externalPort };
    if (externalPort !== order.request.externalPort) {
      // Nobody would call there: it is removed.
      const detail = `it offers port ${String(externalPort).slice(0, 16)} instead`;
      this.#say(order, { code: 'conflict', detail }, now);
    } else if (this.#isWanted(this.#there)) {
      this.#isMapped = true;
      this.#reason = undefined;
    }
  }

  #onRefused(order: CompanionOrder, before: Place | undefined, refusal: Refusal, now: Millis): void {
    // Silent, it may have done what it was asked; what is another machine's is not ours to remove.
    if (refusal.code === 'conflict' || refusal.code === 'not-kept') this.#there = undefined;
    else if (refusal.code !== 'silent') this.#there = before;
    this.#say(order, refusal, now);
  }

  #say({ gateway, request }: CompanionOrder, refusal: Refusal, now: Millis): void {
    if (!this.#anchor || !this.#isWanted({ gateway, externalPort: request.externalPort })) return;
    this.#isMapped = false;
    this.#reason = reasonForRefusal(this.#anchor.gateway, refusal, this.#internalPort, undefined, 'TCP');
    this.#askAt = Math.min(this.#askAt, now + (refusal.code === 'silent' ? retrySilent : retryRefused));
  }

  #isWanted({ gateway, externalPort }: Place): boolean {
    return this.#anchor?.gateway.id === gateway && this.#anchor.grant.externalPort === externalPort;
  }
}

const orderOf = { mapAnswered: 'map', looked: 'look', unmapped: 'unmap' } as const;

function placeOf({ gateway, grant }: Anchor): Place {
  return { gateway: gateway.id, externalPort: grant.externalPort };
}
