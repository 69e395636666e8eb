import type { MappingEffect, MappingEvent } from './effects.js';
import type { Lease } from './lease.js';

/** After the end of port mapping: what is mapped by an answer that comes late is taken back. */
export class Departure {
  readonly #internalPort: number;
  readonly #left: Lease | undefined;

  /** `left`: what was held. */
  constructor(internalPort: number, left: Lease | undefined) {
    this.#internalPort = internalPort;
    this.#left = left;
  }

  handle(event: MappingEvent): MappingEffect[] {
    switch (event.kind) {
      case 'granted':
        return [unmap(event.gateway, this.#internalPort, event.grant.externalPort)];
      case 'refused':
        // Without an answer it may have done what it was asked.
        return event.refusal.code === 'silent' ? [unmap(event.gateway, this.#internalPort, event.asked)] : [];
      case 'checked': {
        // Over NAT-PMP a look into the table asks for the mapping again, perhaps after it was removed.
        const mapsAgain = this.#left?.gateway.id === event.gateway && this.#left.gateway.protocol === 'nat-pmp';
        return mapsAgain && event.answer.answered
          ? [unmap(event.gateway, this.#internalPort, this.#left!.externalPort)]
          : [];
      }
      default:
        return [];
    }
  }
}

export function unmap(gateway: string, internalPort: number, externalPort: number): MappingEffect {
  return { kind: 'unmap', gateway, internalPort, externalPort };
}
