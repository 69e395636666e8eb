import { seededRandom } from '../../src/random.js';
import { type Millis, second } from '../../src/time.js';
import type { CheckAnswer, GatewayDescription, MappingProtocol } from '../../src/upnp/contract.js';
import { isOrder, type MappingEffect, type MappingEvent, type MappingOrder } from '../../src/upnp/effects.js';
import { Mapping } from '../../src/upnp/mapping.js';

/** What there is of a router: nothing, its service without a line outwards, or all of it. */
export type Presence = 'away' | 'without-line' | 'there';

const answersIn: Millis = 30;
/** As the shells wait for one that does not answer. */
const silence: Readonly<Record<MappingProtocol, { readonly search: Millis; readonly question: Millis }>> = {
  upnp: { search: 2500, question: 2000 },
  'nat-pmp': { search: 2000, question: 2000 },
};

/** A Mapping on a virtual clock beside a router that goes and comes back. */
export class AwayRouter {
  readonly mapping: Mapping;
  now: Millis;
  presence: Presence = 'there';
  /** False: no default gateway, so nothing is there to be asked. */
  linked = true;
  address = '11.0.0.2';
  /** When each search began. */
  readonly searches: Millis[] = [];
  /** At its table. */
  looks = 0;
  grants = 0;
  readonly #protocol: MappingProtocol;
  #pending: { readonly at: Millis; readonly events: () => MappingEvent[] }[] = [];
  #forwards = false;
  #startedAt = 0;

  constructor(protocol: MappingProtocol, seed: number) {
    const random = seededRandom(seed);
    this.#protocol = protocol;
    this.mapping = new Mapping({ internalPort: 16696, random });
    this.now = 1000 + random.below(4000);
  }

  get isMapped(): boolean {
    const { state, externalAddress } = this.mapping.status();
    return state === 'mapped' && externalAddress === this.address && this.#forwards;
  }

  /** With an empty table when it was away. */
  becomes(presence: Presence): this {
    if (presence === 'away') this.#forwards = false;
    else if (this.presence === 'away') this.#startedAt = this.now;
    this.presence = presence;
    return this;
  }

  hears(event: MappingEvent): this {
    this.#carryOut(this.mapping.handle(event, this.now));
    return this;
  }

  passes(time: Millis): this {
    this.#run(this.now + time, () => false);
    return this;
  }

  /** How long until it is mapped again; `limit` when it is not. */
  untilMapped(limit: Millis): Millis {
    const from = this.now;
    this.#run(from + limit, () => this.isMapped);
    return this.now - from;
  }

  #run(end: Millis, done: () => boolean): void {
    while (!done()) {
      const next = this.#pending.sort((a, b) => a.at - b.at)[0];
      const at = Math.max(this.now, Math.min(this.mapping.deadline(), next?.at ?? end));
      if (at >= end) {
        this.now = end;
        return;
      }
      this.now = at;
      if (next && next.at <= at) {
        this.#pending.shift();
        for (const event of next.events()) this.hears(event);
      }
      this.#carryOut(this.mapping.tick(this.now));
    }
  }

  #carryOut(effects: readonly MappingEffect[]): void {
    for (const effect of effects) if (isOrder(effect)) this.#perform(effect);
  }

  #later(after: Millis, events: () => MappingEvent[]): void {
    this.#pending.push({ at: this.now + after, events });
  }

  #perform(order: MappingOrder): void {
    const wait = silence[this.#protocol];
    const answers = this.linked && this.presence !== 'away';
    if (order.kind === 'search') {
      this.searches.push(this.now);
      if (!this.linked) this.#later(answersIn, () => [{ kind: 'searchEnded', seen: undefined }]);
      else if (!answers) this.#later(wait.search, () => [{ kind: 'searchEnded', seen: '' }]);
      else
        this.#later(answersIn, () => [
          { kind: 'gatewayFound', gateway: this.#description },
          { kind: 'searchEnded', seen: '' },
        ]);
      return;
    }
    // Nothing listens over TCP here.
    if (order.kind === 'unmap' || order.kind === 'companion') return;
    const { externalPort, leaseSeconds } = order.request;
    const gateway = this.#description.id;
    if (order.kind === 'check') {
      const { depth } = order;
      if (depth === 'table') this.looks++;
      if (answers) this.#later(answersIn, () => [{ kind: 'checked', gateway, answer: this.#seen(depth) }]);
      else this.#later(wait.question, () => [{ kind: 'checked', gateway, answer: { answered: false } }]);
      return;
    }
    const refused = (code: 'silent' | 'not-connected'): MappingEvent[] => [
      { kind: 'refused', gateway, asked: externalPort, refusal: { code, detail: '' } },
    ];
    if (!answers) return this.#later(wait.question, () => refused('silent'));
    this.#later(answersIn, () => {
      if (this.presence !== 'there') return refused('not-connected');
      this.#forwards = true;
      this.grants++;
      const grant = { externalAddress: this.address, externalPort, leaseSeconds };
      return [{ kind: 'granted', gateway, asked: externalPort, grant }];
    });
  }

  /** By UPnP a pulse shows no address, and an old router no sign of its start either. */
  #seen(depth: 'pulse' | 'table'): CheckAnswer {
    const externalAddress = this.presence === 'there' ? this.address : '0.0.0.0';
    if (this.#protocol === 'upnp') {
      return depth === 'pulse' ? { answered: true } : { answered: true, externalAddress, held: this.#forwards };
    }
    const epochSeconds = Math.floor((this.now - this.#startedAt) / second);
    return { answered: true, externalAddress, epochSeconds, ...(depth === 'table' ? { held: this.#forwards } : {}) };
  }

  get #description(): GatewayDescription {
    return {
      id: 'router',
      protocol: this.#protocol,
      address: '192.168.1.1',
      name: '',
      localAddress: '192.168.1.20',
    };
  }
}
