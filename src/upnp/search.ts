import { type Millis, never, second } from '../time.js';
import type { GatewayDescription, Refusal } from './contract.js';

/** Routers remembered from one search. */
const mostGateways = 8;
const searchLimit: Millis = 20 * second;

export interface Refused {
  readonly gateway: GatewayDescription;
  readonly refusal: Refusal;
}

/** The search for routers that runs, or ran last: who was found, who is left to be asked, and who has refused. */
export class Search {
  #since: Millis | undefined;
  /** Best first; tried from the front. */
  #candidates: GatewayDescription[] = [];
  #refusals: Refused[] = [];
  #equalPortsOnly: string | undefined;
  /** By id, those of at least this search and the one before: what was asked of them may be answered late. */
  readonly #known = new Map<string, GatewayDescription>();

  begin(now: Millis): void {
    this.#since = now;
    this.#candidates = [];
    this.#refusals = [];
    this.#equalPortsOnly = undefined;
  }

  end(): void {
    this.#since = undefined;
  }

  get isRunning(): boolean {
    return this.#since !== undefined;
  }

  /** When it is over by itself. */
  get endsAt(): Millis {
    return this.#since === undefined ? never : this.#since + searchLimit;
  }

  /** False: it is of no use now. */
  found(gateway: GatewayDescription): boolean {
    if (!this.isRunning || this.#candidates.length >= mostGateways) return false;
    this.#candidates.push(gateway);
    this.#known.delete(gateway.id);
    this.#known.set(gateway.id, gateway);
    if (this.#known.size > 2 * mostGateways) this.#known.delete(this.#known.keys().next().value!);
    return true;
  }

  get hasCandidates(): boolean {
    return this.#candidates.length > 0;
  }

  /** To be asked now; none at the address of the router that has just granted. */
  next(granted: string | undefined): GatewayDescription | undefined {
    let gateway = this.#candidates.shift();
    while (gateway && gateway.address === granted) gateway = this.#candidates.shift();
    return gateway;
  }

  known(id: string): GatewayDescription | undefined {
    return this.#known.get(id);
  }

  /** It forwards no external port but the one that is equal to ours. */
  hasEqualPortsOnly(gateway: GatewayDescription): void {
    this.#equalPortsOnly = gateway.id;
  }

  refused(gateway: GatewayDescription, refusal: Refusal): void {
    // No other port can be forwarded: the conflict is not the whole reason.
    const isEqualTaken = refusal.code === 'conflict' && this.#equalPortsOnly === gateway.id;
    this.#refusals.push({ gateway, refusal: isEqualTaken ? { ...refusal, code: 'same-port-only' } : refusal });
  }

  get refusals(): readonly Refused[] {
    return this.#refusals;
  }
}
