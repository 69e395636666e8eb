import type { Random } from '../random.js';
import type { Millis } from '../time.js';
import { answerLimit, type GatewayDescription, type MappingRequest } from './contract.js';
import type { MappingEffect, MappingEvent } from './effects.js';
import type { Entry } from './entry.js';

/** External ports tried on one router in a row: each costs a slow router seconds (re6st counted a quarter of an hour). */
export const mostPorts = 8;

/** A router is asked for a mapping, and has not answered. */
export class Question implements Entry {
  readonly gateway: GatewayDescription;
  readonly request: MappingRequest;
  /** Tried in a row, this one included. */
  readonly ports: number;
  readonly #since: Millis;

  constructor(gateway: GatewayDescription, request: MappingRequest, ports: number, now: Millis) {
    this.gateway = gateway;
    this.request = request;
    this.ports = ports;
    this.#since = now;
  }

  get externalPort(): number {
    return this.request.externalPort;
  }

  /** From then on it is not answered. */
  get overdueAt(): Millis {
    return this.#since + answerLimit;
  }

  get order(): MappingEffect {
    return { kind: 'map', gateway: this.gateway.id, request: this.request };
  }

  /** What answers a question that was given up answers no other one. */
  isAnsweredBy({ gateway, asked }: Extract<MappingEvent, { kind: 'granted' | 'refused' }>): boolean {
    return this.gateway.id === gateway && this.externalPort === asked;
  }
}

/** Away from well-known ports, and from those that systems hand out by themselves (32768 and above). */
export function portByChance(random: Random): number {
  return 20_000 + random.below(12_000);
}
