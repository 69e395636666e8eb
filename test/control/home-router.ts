import type { Millis } from '../../src/time.js';
import type { CompanionEvent, CompanionOrder } from '../../src/upnp/companion.js';
import type { CheckAnswer, GatewayDescription, MappingProtocol } from '../../src/upnp/contract.js';
import type { MappingEvent, MappingOrder } from '../../src/upnp/effects.js';

/** How long it takes for anything. */
const answersIn: Millis = 30;

/**
 * The router of one machine, that keeps port numbers, lets in whoever was sent to, and forwards what it is asked to: by
 * UPnP as many ports as are wanted, by NAT-PMP one at a time; of each transport.
 */
export class HomeRouter {
  /** The external ports it forwards. */
  readonly forwards = new Set<number>();
  /** It has no line, and maps nothing. */
  isOffline = false;
  /** The same over TCP. */
  readonly forwardsTcp = new Set<number>();
  readonly #protocol: MappingProtocol;

  constructor(protocol: MappingProtocol) {
    this.#protocol = protocol;
  }

  /** Carries out an order later, by `at`, and answers it. `address`: its outer one. */
  perform(order: MappingOrder, address: string, at: (after: Millis, what: () => MappingEvent[]) => void): void {
    switch (order.kind) {
      case 'search': {
        const gateway: GatewayDescription = {
          id: 'router',
          protocol: this.#protocol,
          address: '192.168.1.1',
          name: '',
          localAddress: '192.168.1.2',
        };
        at(answersIn, () => [{ kind: 'gatewayFound', gateway }]);
        at(2 * answersIn, () => [{ kind: 'searchEnded', seen: '' }]);
        return;
      }
      case 'map': {
        const { externalPort, leaseSeconds } = order.request;
        at(answersIn, () => {
          const refusal = { code: 'not-connected', detail: '' } as const;
          if (this.isOffline) return [{ kind: 'refused', gateway: 'router', asked: externalPort, refusal }];
          this.#map(externalPort, this.forwards);
          const grant = { externalAddress: address, externalPort, leaseSeconds };
          return [{ kind: 'granted', gateway: 'router', asked: externalPort, grant }];
        });
        return;
      }
      case 'unmap':
        this.forwards.delete(order.externalPort);
        return;
      case 'check':
        at(answersIn, () => {
          const { externalPort } = order.request;
          const seen: CheckAnswer = { answered: true, externalAddress: address };
          if (order.depth === 'pulse') return [{ kind: 'checked', gateway: 'router', answer: seen }];
          // By NAT-PMP a look is the same question again.
          if (this.#protocol === 'nat-pmp') this.#map(externalPort, this.forwards);
          const answer = { ...seen, held: this.forwards.has(externalPort) };
          return [{ kind: 'checked', gateway: 'router', answer }];
        });
        return;
      case 'companion':
        at(answersIn, () => [{ kind: 'companion', event: this.#overTcp(order.order, address) }]);
    }
  }

  #overTcp({ kind, request }: CompanionOrder, address: string): CompanionEvent {
    const { externalPort, leaseSeconds } = request;
    switch (kind) {
      case 'map':
        this.#map(externalPort, this.forwardsTcp);
        return {
          kind: 'mapAnswered',
          answer: { kind: 'granted', grant: { externalAddress: address, externalPort, leaseSeconds } },
        };
      case 'look':
        return { kind: 'looked', held: this.forwardsTcp.has(externalPort) };
      case 'unmap':
        this.forwardsTcp.delete(externalPort);
        return { kind: 'unmapped' };
    }
  }

  #map(externalPort: number, forwards: Set<number>): void {
    if (this.#protocol === 'nat-pmp') forwards.clear();
    forwards.add(externalPort);
  }
}
