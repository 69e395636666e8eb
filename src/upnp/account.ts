import type { GatewayDescription, RefusalCode } from './contract.js';
import type { Lease } from './lease.js';
import type { Outcome } from './patience.js';
import {
  doubtAbout,
  type MappingDoubt,
  reasonForAbsence,
  reasonForRefusal,
  reasonForSilence,
  reasonForWorth,
} from './reasons.js';
import type { Refused } from './search.js';

/** What a router says, or does not, while it starts or has no line yet. */
const passing: ReadonlySet<RefusalCode> = new Set(['not-connected', 'silent', 'failed', 'malformed']);
/** Routers whose refusals are told. */
const mostTold = 3;

/** Why nothing is mapped, or what is odd about what is: for the operator, and for what is tried next. */
export class Account {
  readonly #internalPort: number;
  /** Those that the last search came to in the end. */
  #refused: readonly Refused[] = [];
  #reason: string | undefined;
  #observed: string | undefined;

  constructor(internalPort: number) {
    this.#internalPort = internalPort;
  }

  granted(): void {
    this.#refused = [];
    this.#reason = undefined;
  }

  /** What is held is shown as it was, and looked for. */
  fellSilent(gateway: GatewayDescription): void {
    this.#reason = reasonForSilence(gateway);
  }

  /** No router is left to ask; `seen` as in `searchEnded`. */
  gaveUp(refused: readonly Refused[], seen: string | undefined): void {
    this.#refused = refused;
    this.#reason = this.isRefused ? undefined : reasonForAbsence(seen);
  }

  ended(): void {
    this.#reason = 'port mapping has ended';
  }

  /** True: peers see us at another address than before. */
  observes(address: string | undefined): boolean {
    const isNews = address !== undefined && address !== this.#observed;
    this.#observed = address;
    return isNews;
  }

  get isRefused(): boolean {
    return this.#refused.length > 0;
  }

  get lacksLine(): boolean {
    return this.#refused.some(({ refusal }) => refusal.code === 'not-connected');
  }

  /** Peers see us by some line: then a router that says it has none stands behind another one, and will not get one soon. */
  get outcome(): Outcome {
    if (!this.isRefused) return 'absent';
    if (this.#observed === undefined && this.lacksLine) return 'unconnected';
    return this.#refused.some(({ refusal }) => passing.has(refusal.code)) ? 'passing' : 'firm';
  }

  /** `usable`: what is mapped. */
  reason(usable: Lease | undefined): string | null {
    const odd = usable && reasonForWorth(usable.gateway, usable.grant, this.#observed);
    return this.#reason ?? this.#refusals ?? odd ?? null;
  }

  doubt(held: Lease | undefined): MappingDoubt | undefined {
    if (!held) return this.lacksLine && this.#observed !== undefined ? 'hidden' : undefined;
    // While something is held there is no other reason of our own.
    return this.#reason === undefined ? doubtAbout(held.grant, this.#observed) : 'silent';
  }

  get #refusals(): string | undefined {
    if (!this.isRefused) return undefined;
    return this.#refused
      .slice(0, mostTold)
      .map(({ gateway, refusal }) => reasonForRefusal(gateway, refusal, this.#internalPort, this.#observed))
      .join('; ');
  }
}
